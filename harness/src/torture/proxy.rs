//! A network that misbehaves: a TCP proxy in front of a sink which can be down, slow, or cut
//! connections in the middle of what they carry. It passes bytes and understands none of them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use ves_load::Random;

/// Time between two looks for a new connection.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// What a slow network takes at a time, and the time that it takes for that: 400 kB a second.
const SLOW_BYTES: usize = 4096;
const SLOW_PAUSE: Duration = Duration::from_millis(10);

/// A connection is cut after at most so many bytes.
const CUT_BYTES_MAX: u32 = 300_000;

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mood {
    /// It passes everything.
    Up,
    /// Nobody answers, and connections are cut.
    Down,
    /// It passes what the collector sends in small pieces.
    Slow,
    /// It cuts each connection somewhere.
    Cutting,
}

/// The proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    mood: AtomicU8,
    is_over: AtomicBool,
    cuts: AtomicU64,
    random: Mutex<Random>,
    /// Both ends of each connection.
    open: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn is(&self, mood: Mood) -> bool {
        self.mood.load(Ordering::Acquire) == mood as u8
    }

    fn close_all(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn keep(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push(stream.try_clone()?);
        Ok(())
    }

    fn cut_after(&self) -> u64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        1 + u64::from(random.below(CUT_BYTES_MAX))
    }
}

impl Proxy {
    /// A proxy for the sink at that address.
    ///
    /// # Errors
    /// When no address can be had or no thread started.
    pub(super) fn start(sink: SocketAddr, seed: u64) -> Result<Proxy> {
        let listener = listen("127.0.0.1:0".parse()?).context("open a proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            mood: AtomicU8::new(Mood::Up as u8),
            is_over: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            random: Mutex::new(Random::new(seed)),
            open: Mutex::default(),
        });
        let theirs = shared.clone();
        let builder = std::thread::Builder::new().name("proxy".to_owned());
        let thread = builder.spawn(move || accept(listener, address, sink, &theirs))?;
        Ok(Proxy {
            address,
            shared,
            thread: Some(thread),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how the network is. Connections that are open are cut when it is down from now on.
    pub(super) fn set(&self, mood: Mood) {
        self.shared.mood.store(mood as u8, Ordering::Release);
        if mood == Mood::Down {
            self.shared.close_all();
        }
    }

    /// How many connections were cut in the middle.
    pub(super) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.close_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and this may be one's end already.
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn accept(listener: TcpListener, address: SocketAddr, sink: SocketAddr, shared: &Shared) {
    std::thread::scope(|scope| {
        let mut listener = Some(listener);
        while !shared.is_over.load(Ordering::Acquire) {
            if shared.is(Mood::Down) {
                // Without a listener a connection is refused.
                listener = None;
            } else if listener.is_none() {
                listener = listen(address).ok();
            }
            let accepted = listener.as_ref().and_then(|it| it.accept().ok());
            let Some((client, _)) = accepted else {
                std::thread::sleep(LOOK_INTERVAL);
                continue;
            };
            let Some((client, server)) = connect(client, sink, shared) else {
                continue;
            };
            let (Ok(from), Ok(to)) = (server.try_clone(), client.try_clone()) else {
                continue;
            };
            scope.spawn(move || pass(&client, &server, shared, true));
            scope.spawn(move || pass(&from, &to, shared, false));
        }
        // One that was accepted after the others were closed.
        shared.close_all();
    });
}

fn connect(client: TcpStream, sink: SocketAddr, shared: &Shared) -> Option<(TcpStream, TcpStream)> {
    client.set_nonblocking(false).ok()?;
    let server = TcpStream::connect(sink).ok()?;
    shared.keep(&client).ok()?;
    shared.keep(&server).ok()?;
    Some((client, server))
}

/// Passes bytes until one side is done.
fn pass(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared, is_upward: bool) {
    let mut buffer = vec![0; 64 << 10];
    let mut left = None;
    loop {
        let is_slow = is_upward && shared.is(Mood::Slow);
        let size = if is_slow { SLOW_BYTES } else { buffer.len() };
        if is_slow {
            std::thread::sleep(SLOW_PAUSE);
        }
        let room = buffer.get_mut(..size).unwrap_or_default();
        let Ok(count @ 1..) = from.read(room) else {
            break;
        };
        let mut bytes = buffer.get(..count).unwrap_or_default();
        let is_cutting = is_upward && shared.is(Mood::Cutting);
        let until = left.get_or_insert_with(|| shared.cut_after());
        let is_cut = is_cutting && *until <= count as u64;
        if is_cut {
            bytes = bytes
                .get(..usize::try_from(*until).unwrap_or(count))
                .unwrap_or(bytes);
        } else if is_cutting {
            *until -= count as u64;
        }
        if to.write_all(bytes).is_err() {
            break;
        }
        if is_cut {
            shared.cuts.fetch_add(1, Ordering::Relaxed);
            reset(from);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// Has the other side see a reset instead of an orderly end.
fn reset(stream: &TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // Without it the end is orderly, and still in the middle.
    let _ = setsockopt(stream, sockopt::Linger, &linger);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink that gives back what it gets, a connection at a time.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
            }
        });
        address
    }

    fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(b"hello")?;
        stream.read_exact(&mut [0; 5])
    }

    #[test]
    fn the_network_is_as_it_is_told_to_be() {
        let proxy = Proxy::start(echo(), 1).unwrap();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        ask(&mut stream).unwrap();
        proxy.set(Mood::Slow);
        ask(&mut stream).unwrap();
        proxy.set(Mood::Down);
        ask(&mut stream).unwrap_err();
        // It is refused from the next look on.
        while TcpStream::connect(proxy.address()).is_ok() {
            std::thread::sleep(LOOK_INTERVAL);
        }
        proxy.set(Mood::Up);
        let mut stream = loop {
            match TcpStream::connect(proxy.address()) {
                Ok(stream) => break stream,
                Err(_) => std::thread::sleep(LOOK_INTERVAL),
            }
        };
        ask(&mut stream).unwrap();
        proxy.set(Mood::Cutting);
        while ask(&mut stream).is_ok() {}
        assert_eq!(proxy.cuts(), 1);
    }
}
