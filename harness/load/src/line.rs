//! A checked [`Spec`] and a seed become an endless stream of nginx combined lines.
//!
//! Every line holds its number, counted from 1, as `seq=000000001`: in the query string, or at
//! the end of the user agent where the path has to stay as it is (health checks).

use std::io::Write;
use std::net::Ipv6Addr;

use crate::random::{Random, Weights};
use crate::spec::{Spec, Weighted};

/// The stream.
#[derive(Debug)]
pub struct Lines<'a> {
    spec: &'a Spec,
    random: Random,
    choices: Choices,
    clients: Vec<Client>,
    clock: Clock,
    sequence: u64,
}

/// The tables behind each choice, made once.
#[derive(Debug)]
struct Choices {
    client: Weights,
    method: Weights,
    protocol: Weights,
    status: Weights,
    path: Weights,
    path_id: Weights,
    referer: Weights,
}

/// One visitor: the same address, user and agent in all of its requests, as in a real log.
#[derive(Debug)]
struct Client {
    /// `address - user [`
    head: String,
    agent: usize,
}

impl<'a> Lines<'a> {
    /// The stream of that mix and seed, at its first line.
    #[must_use]
    pub fn new(spec: &'a Spec, seed: u64) -> Lines<'a> {
        let mut random = Random::new(seed);
        let clients = clients(spec, &mut random);
        Lines {
            spec,
            choices: Choices::new(spec),
            clients,
            clock: Clock::new(spec.start_unix_s),
            sequence: 0,
            random,
        }
    }

    /// Appends the next line, with its newline. Allocates only where `out` has to grow.
    pub fn append_next(&mut self, out: &mut Vec<u8>) {
        self.sequence += 1;
        self.clock
            .advance(self.random.below(self.spec.gap_us.saturating_mul(2)));
        if self.random.one_in(self.spec.probe.one_in) {
            self.append_probe(out);
        } else {
            self.append_visit(out);
        }
        out.push(b'\n');
    }

    fn append_probe(&mut self, out: &mut Vec<u8>) {
        let probe = &self.spec.probe;
        let address = self.random.below(probe.addresses.len() as u32) as usize;
        out.extend_from_slice(probe.addresses[address].as_bytes());
        out.extend_from_slice(b" - - [");
        out.extend_from_slice(self.clock.text());
        out.extend_from_slice(b"] \"GET ");
        out.extend_from_slice(probe.path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\" 200 ");
        append_number(out, u64::from(probe.body_bytes), 1);
        out.extend_from_slice(b" \"-\" \"");
        out.extend_from_slice(probe.agent.as_bytes());
        out.extend_from_slice(b" seq=");
        append_number(out, self.sequence, SEQUENCE_DIGITS);
        out.push(b'"');
    }

    fn append_visit(&mut self, out: &mut Vec<u8>) {
        let client = self.choices.client.pick(&mut self.random);
        out.extend_from_slice(self.clients[client].head.as_bytes());
        out.extend_from_slice(self.clock.text());
        out.extend_from_slice(b"] \"");
        self.append_request(out);
        out.extend_from_slice(b"\" ");
        self.append_status(out);
        out.extend_from_slice(b" \"");
        let referer = self.choices.referer.pick(&mut self.random);
        out.extend_from_slice(self.spec.referers[referer].text.as_bytes());
        out.extend_from_slice(b"\" \"");
        out.extend_from_slice(self.spec.agents[self.clients[client].agent].text.as_bytes());
        out.push(b'"');
    }

    fn append_request(&mut self, out: &mut Vec<u8>) {
        let method = self.choices.method.pick(&mut self.random);
        out.extend_from_slice(self.spec.methods[method].text.as_bytes());
        out.push(b' ');
        let path = &self.spec.paths[self.choices.path.pick(&mut self.random)];
        match path.split_once("{}") {
            Some((before, after)) => {
                out.extend_from_slice(before.as_bytes());
                append_number(
                    out,
                    self.choices.path_id.pick(&mut self.random) as u64 + 1,
                    1,
                );
                out.extend_from_slice(after.as_bytes());
            }
            None => out.extend_from_slice(path.as_bytes()),
        }
        let joint: &[u8] = if path.contains('?') {
            b"&seq="
        } else {
            b"?seq="
        };
        out.extend_from_slice(joint);
        append_number(out, self.sequence, SEQUENCE_DIGITS);
        out.push(b' ');
        let protocol = self.choices.protocol.pick(&mut self.random);
        out.extend_from_slice(self.spec.protocols[protocol].text.as_bytes());
    }

    fn append_status(&mut self, out: &mut Vec<u8>) {
        let status = &self.spec.statuses[self.choices.status.pick(&mut self.random)];
        append_number(out, u64::from(status.code), 3);
        out.push(b' ');
        let body_bytes = status
            .body_bytes
            .unwrap_or_else(|| body_bytes(&mut self.random));
        append_number(out, u64::from(body_bytes), 1);
    }
}

impl Choices {
    fn new(spec: &Spec) -> Choices {
        let weights = |list: &[Weighted]| checked(Weights::new(list.iter().map(|w| w.weight)));
        Choices {
            client: checked(Weights::zipf(spec.clients.count, CLIENTS_SHIFT)),
            method: weights(&spec.methods),
            protocol: weights(&spec.protocols),
            status: checked(Weights::new(spec.statuses.iter().map(|s| s.weight))),
            path: checked(Weights::zipf(spec.paths.len() as u32, 0)),
            path_id: checked(Weights::zipf(spec.path_id_max, 0)),
            referer: weights(&spec.referers),
        }
    }
}

fn checked(weights: Option<Weights>) -> Weights {
    weights.expect("Spec::parse lets no empty list through")
}

/// Keeps the busiest client below one request in 300, so that its agent does not decide how long the
/// mean line of a seed is.
const CLIENTS_SHIFT: u32 = 100;

/// Sorting and comparing numbers as text works up to this many digits.
const SEQUENCE_DIGITS: usize = 9;

fn clients(spec: &Spec, random: &mut Random) -> Vec<Client> {
    let agents = checked(Weights::new(spec.agents.iter().map(|agent| agent.weight)));
    let client = |_| {
        let address = address(spec, random);
        let user = user(spec, random);
        Client {
            head: format!("{address} - {user} ["),
            agent: agents.pick(random),
        }
    };
    (0..spec.clients.count).map(client).collect()
}

fn address(spec: &Spec, random: &mut Random) -> String {
    if random.one_in(spec.clients.ipv6_one_in) {
        // 2001:db8::/32 is for documentation and belongs to nobody.
        let prefix = 0x2001_0db8_u128 << 96;
        let subnet = u128::from(random.next() >> 32) << 64;
        let host = u128::from(random.next() >> random.below(48));
        return Ipv6Addr::from_bits(prefix | subnet | host).to_string();
    }
    let bits = random.next().to_le_bytes();
    // 1 to 223 as first byte: no multicast and no "this network".
    format!(
        "{}.{}.{}.{}",
        1 + u16::from(bits[0]) % 223,
        bits[1],
        bits[2],
        bits[3]
    )
}

fn user<'a>(spec: &'a Spec, random: &mut Random) -> &'a str {
    if !random.one_in(spec.clients.user_one_in) {
        return "-";
    }
    &spec.clients.users[random.below(spec.clients.users.len() as u32) as usize]
}

/// Each number of binary digits from 7 to 18 is as likely as the others: many small answers, few
/// of a quarter of a megabyte.
fn body_bytes(random: &mut Random) -> u32 {
    let top = 1 << (6 + random.below(12));
    top + random.below(top)
}

fn append_number(out: &mut Vec<u8>, number: u64, digits_min: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    let mut rest = number;
    while rest > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    start = start.min(digits.len() - digits_min);
    out.extend_from_slice(&digits[start..]);
}

/// The time of the current line, as text that is only made anew when the second changes.
#[derive(Debug)]
struct Clock {
    unix_s: u32,
    us: u32,
    text: Vec<u8>,
}

impl Clock {
    fn new(unix_s: u32) -> Clock {
        Clock {
            unix_s,
            us: 0,
            text: time_local(unix_s),
        }
    }

    fn advance(&mut self, by_us: u32) {
        let us = u64::from(self.us) + u64::from(by_us);
        self.us = (us % 1_000_000) as u32;
        if us >= 1_000_000 {
            self.unix_s = self.unix_s.wrapping_add((us / 1_000_000) as u32);
            self.text = time_local(self.unix_s);
        }
    }

    fn text(&self) -> &[u8] {
        &self.text
    }
}

/// `05/Jan/2026:00:00:00 +0000`
fn time_local(unix_s: u32) -> Vec<u8> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (year, month, day) = civil(unix_s / 86_400);
    let (hour, minute, second) = (unix_s / 3_600 % 24, unix_s / 60 % 60, unix_s % 60);
    let month = MONTHS[month as usize];
    let mut text = Vec::with_capacity(32);
    write!(
        text,
        "{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000"
    )
    .expect("writing to memory");
    text
}

/// Year, month from 0 and day from 1 of a number of days since 1970-01-01.
fn civil(days: u32) -> (u32, u32, u32) {
    let is_leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut rest) = (1970, days);
    while rest >= 365 + u32::from(is_leap(year)) {
        rest -= 365 + u32::from(is_leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u32::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    for length in lengths {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix_s, text) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (1_709_251_199, "29/Feb/2024:23:59:59 +0000"),
            (1_767_225_599, "31/Dec/2025:23:59:59 +0000"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000"),
        ] {
            assert_eq!(String::from_utf8(time_local(unix_s)).unwrap(), text);
        }
    }

    #[test]
    fn numbers_are_padded_and_never_cut() {
        let mut out = Vec::new();
        for (number, digits_min) in [(0, 1), (7, 3), (1234, 3), (u64::MAX, 9)] {
            append_number(&mut out, number, digits_min);
            out.push(b' ');
        }
        assert_eq!(out, b"0 007 1234 18446744073709551615 ");
    }

    #[test]
    fn seconds_carry_over() {
        let mut clock = Clock::new(59);
        clock.advance(999_999);
        assert_eq!(clock.text(), b"01/Jan/1970:00:00:59 +0000");
        clock.advance(1);
        assert_eq!(clock.text(), b"01/Jan/1970:00:01:00 +0000");
        clock.advance(2_500_000);
        assert_eq!((clock.unix_s, clock.us), (62, 500_000));
    }
}
