//! Name resolution for the HTTP sink: the system's, remembered for some seconds.
//!
//! ureq resolves before it looks for an idle connection, and under a timeout it spawns a thread
//! for that: a thread for each batch. Remembering the answer makes it one every few seconds.
//! The resolver interface is outside ureq's semantic versioning, so an update may need a change
//! here.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer is good: short enough to follow a fail-over by DNS.
const AGE_MAX: Duration = Duration::from_secs(10);

/// The system's resolver with its last answer.
#[derive(Debug, Default)]
pub(super) struct RememberingResolver {
    system: DefaultResolver,
    last: Mutex<Option<Answer>>,
}

#[derive(Debug)]
struct Answer {
    uri: Uri,
    since: Instant,
    addresses: ResolvedSocketAddrs,
}

impl Answer {
    fn fits(&self, uri: &Uri) -> bool {
        self.uri.scheme() == uri.scheme()
            && self.uri.authority() == uri.authority()
            && self.since.elapsed() < AGE_MAX
    }
}

impl Resolver for RememberingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // A panic elsewhere leaves a whole answer or none behind.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = last.as_ref().filter(|answer| answer.fits(uri)) {
            return Ok(answer.addresses.clone());
        }
        *last = None;
        let addresses = self.system.resolve(uri, config, timeout).map_err(named)?;
        *last = Some(Answer {
            uri: uri.clone(),
            since: Instant::now(),
            addresses: addresses.clone(),
        });
        Ok(addresses)
    }
}

/// getaddrinfo's failures say neither what was looked up for nor come with a kind of their own, so
/// they are told apart from those of the connection here.
fn named(error: ureq::Error) -> ureq::Error {
    match error {
        ureq::Error::Io(error) => ureq::Error::Io(io::Error::new(
            error.kind(),
            format!("the host name cannot be resolved ({error}): check the URL and the resolver"),
        )),
        other => other,
    }
}
