//! The stages, each as a closure that goes through a block of lines once.

use std::hint::black_box;

use anyhow::{Context, Result};
use clap::ValueEnum;
use ves::filter::Expression;
use ves::parse::{Fields, LogFormat, Span};
use ves::stages::{
    Arrival, CutSizes, Kernels, LineTransform, OpenSink, config, follow, split_lines,
};

/// One stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kernel {
    /// Where lines end.
    Split,
    /// Fields of combined lines; nothing is written.
    Parse,
    /// Expressions on the fields of one line.
    Filter,
    /// Parse, filter, write JSON.
    Transform,
    /// The same without vector instructions.
    TransformPortable,
    /// Lines as they are, into JSON.
    Raw,
    /// Records compressed at level 1.
    Zstd,
    /// Cut as the tail does, transform, ship nowhere.
    EndToEnd,
}

/// Goes through the block once; returns how much was done, in the kernel's own unit.
pub(crate) type Pass<'a> = Box<dyn FnMut() -> Result<u64> + 'a>;

const DROP_PROBES: &str = r#"path == "/healthz""#;
/// True for every line.
const DROP_ALL: &str = "status >= 0";
/// Bytes that arrive between two looks at the file.
const ARRIVAL_BYTES: usize = 64 << 10;
/// As the tail cuts.
const SIZES: CutSizes = CutSizes {
    bytes_wanted: 512 << 10,
    window_bytes: 4 << 20,
};
/// Records that are compressed at once.
const BATCH_BYTES: usize = 256 << 10;

impl Kernel {
    /// All of them, in the order of the pipeline.
    pub(crate) const ALL: &[Kernel] = &[
        Kernel::Split,
        Kernel::Parse,
        Kernel::Filter,
        Kernel::Transform,
        Kernel::TransformPortable,
        Kernel::Raw,
        Kernel::Zstd,
        Kernel::EndToEnd,
    ];

    /// As it is written on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Sets up what is not measured.
    ///
    /// # Errors
    /// When VES does not take the settings.
    pub(crate) fn prepare(self, block: &[u8]) -> Result<Pass<'_>> {
        match self {
            Kernel::Split => Ok(Box::new(|| {
                Ok(split_lines(black_box(block), Kernels::Detected))
            })),
            Kernel::Parse => transform(block, "nginx", Some(DROP_ALL), Kernels::Detected),
            Kernel::Filter => filter(block),
            Kernel::Transform => transform(block, "nginx", Some(DROP_PROBES), Kernels::Detected),
            Kernel::TransformPortable => {
                transform(block, "nginx", Some(DROP_PROBES), Kernels::Portable)
            }
            Kernel::Raw => transform(block, "raw", None, Kernels::Detected),
            Kernel::Zstd => zstd(block),
            Kernel::EndToEnd => end_to_end(block),
        }
    }
}

fn transform<'a>(
    block: &'a [u8],
    format: &str,
    drop: Option<&str>,
    kernels: Kernels,
) -> Result<Pass<'a>> {
    let mut transform = LineTransform::new(&config(format, drop)?, kernels);
    let mut out = Vec::new();
    Ok(Box::new(move || {
        out.clear();
        let outcome = transform.run(black_box(block), &mut out);
        anyhow::ensure!(
            outcome.records + outcome.dropped == outcome.lines,
            "lines were lost"
        );
        Ok(outcome.records)
    }))
}

/// As many times as the block has lines, on a line that all of the expressions have to look at.
fn filter(block: &[u8]) -> Result<Pass<'_>> {
    let schema = LogFormat::combined().schema().clone();
    let mut spans = vec![Span::NULL; schema.fields().len()];
    for (name, start, end) in [("method", 0, 3), ("path", 4, 24), ("status", 25, 28)] {
        let slot = schema.slot(name);
        spans[slot.with_context(|| format!("no field is called {name}"))?] = Span::new(start, end);
    }
    let expressions = [
        r#"path == "/healthz""#,
        "status >= 400 and status < 500",
        r#"method in ["POST", "PUT"] or path contains "items""#,
        r#"path =~ "^/api/v[0-9]+/""#,
    ];
    let parse = |text| Ok(Expression::parse(text, &schema)?.bind(&schema));
    let predicates = expressions
        .into_iter()
        .map(parse)
        .collect::<Result<Vec<_>>>()?;
    let lines = split_lines(block, Kernels::Detected);
    Ok(Box::new(move || {
        let fields = Fields {
            bytes: b"GET /api/v1/items?page=3 404",
            spans: &spans,
        };
        let mut matches = 0;
        for _ in 0..lines {
            for predicate in &predicates {
                matches += u64::from(predicate.matches(black_box(&fields)));
            }
        }
        Ok(matches)
    }))
}

fn zstd(block: &[u8]) -> Result<Pass<'_>> {
    let mut records = Vec::new();
    LineTransform::new(&config("nginx", None)?, Kernels::Detected).run(block, &mut records);
    let mut compressor = zstd::bulk::Compressor::new(1)?;
    let mut out = vec![0; zstd::zstd_safe::compress_bound(BATCH_BYTES)];
    Ok(Box::new(move || {
        let mut compressed_bytes = 0;
        for batch in records.chunks(BATCH_BYTES) {
            compressed_bytes += compressor.compress_to_buffer(black_box(batch), &mut out)? as u64;
        }
        Ok(compressed_bytes)
    }))
}

fn end_to_end(block: &[u8]) -> Result<Pass<'_>> {
    let config = config("nginx", Some(DROP_PROBES))?;
    let mut transform = LineTransform::new(&config, Kernels::Detected);
    let mut sink = OpenSink::open(&config)?;
    let arrival = Arrival {
        bytes: ARRIVAL_BYTES,
        is_overdue: false,
    };
    let arrivals = vec![arrival; block.len() / ARRIVAL_BYTES];
    let mut out = Vec::new();
    Ok(Box::new(move || {
        out.clear();
        let outcome = follow(&mut transform, black_box(block), &arrivals, SIZES, &mut out);
        sink.deliver(black_box(&out), outcome.records)?;
        Ok(outcome.records)
    }))
}
