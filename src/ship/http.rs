//! NDJSON over HTTP(S).
