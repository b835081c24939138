//! A TCP server that keeps whole lines.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Result;

use super::capture::Recorder;

const READ_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    pub(super) fn start(listener: TcpListener, recorder: &Recorder) -> Result<Server> {
        let address = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, recorder) = (is_over.clone(), recorder.clone());
        let builder = std::thread::Builder::new().name("sink-tcp".to_owned());
        let thread = builder.spawn(move || accept(&listener, &recorder, &over))?;
        Ok(Server {
            address,
            is_over,
            thread,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends when the collector has closed its connections, which it has when it is gone.
    pub(super) fn close(self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

fn accept(listener: &TcpListener, recorder: &Recorder, is_over: &AtomicBool) {
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            if is_over.load(Ordering::Acquire) {
                return;
            }
            if let Ok(stream) = stream {
                scope.spawn(move || keep_lines(stream, recorder));
            }
        }
    });
}

/// Reads until the collector has closed the connection. Where nothing more can be passed on, the
/// connection is closed here: TCP has no other way to say so.
fn keep_lines(mut stream: TcpStream, recorder: &Recorder) {
    let mut buffer = vec![0; READ_BYTES];
    let mut rest = Vec::new();
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            break;
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        let Some(newline) = memchr::memrchr(b'\n', bytes) else {
            rest.extend_from_slice(bytes);
            continue;
        };
        let (whole, begun) = bytes.split_at(newline + 1);
        let appended = if rest.is_empty() {
            recorder.append(whole)
        } else {
            rest.extend_from_slice(whole);
            recorder.append(&rest)
        };
        if appended.is_err() {
            return;
        }
        rest.clear();
        rest.extend_from_slice(begun);
    }
    if !rest.is_empty() {
        // Whoever passes on learns it from the recorder.
        let _ = recorder.append(&rest);
    }
}
