//! Reading a file that is in the page cache: mapped windows of several sizes against read(2) into
//! buffers of several sizes. Newlines are counted, so that every byte is touched once.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ves::stages::count_newlines_in_windows;
use ves_load::{Lines, Spec};

/// Bytes of the file: more than the caches of a CPU hold.
const FILE_BYTES: u64 = 256 << 20;

const WINDOWS: [u64; 5] = [256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20];

const BUFFERS: [usize; 3] = [64 << 10, 256 << 10, 1 << 20];

/// Writes the file, which makes it warm. Returns its bytes and lines.
fn write_file(mut file: &File) -> (u64, u64) {
    let spec = Spec::built_in();
    let mut lines = Lines::new(&spec, 1);
    let mut buffer = Vec::new();
    let (mut byte_count, mut line_count) = (0, 0);
    while byte_count < FILE_BYTES {
        buffer.clear();
        for _ in 0..1000 {
            lines.append_next(&mut buffer);
        }
        file.write_all(&buffer).unwrap();
        byte_count += buffer.len() as u64;
        line_count += 1000;
    }
    (byte_count, line_count)
}

fn count_newlines_by_read(file: &File, buffer: &mut [u8]) -> io::Result<u64> {
    let (mut count, mut offset) = (0, 0);
    loop {
        let bytes = file.read_at(buffer, offset)?;
        if bytes == 0 {
            return Ok(count);
        }
        let filled = buffer.get(..bytes).unwrap_or_default();
        count += memchr::memchr_iter(b'\n', filled).count() as u64;
        offset += bytes as u64;
    }
}

fn scan(criterion: &mut Criterion) {
    let file = tempfile::tempfile().unwrap();
    let (bytes, lines) = write_file(&file);
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Bytes(bytes)).sample_size(20);
    for window_bytes in WINDOWS {
        let id = BenchmarkId::new("window", format!("{} KiB", window_bytes >> 10));
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let count = count_newlines_in_windows(&file, window_bytes).unwrap();
                assert_eq!(count, lines);
            });
        });
    }
    for buffer_bytes in BUFFERS {
        let id = BenchmarkId::new("read", format!("{} KiB", buffer_bytes >> 10));
        let mut buffer = vec![0; buffer_bytes];
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                assert_eq!(count_newlines_by_read(&file, &mut buffer).unwrap(), lines);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scan);
criterion_main!(benches);
