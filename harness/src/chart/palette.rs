//! How a collector is told from the others in every chart: one colour and one shape each. The
//! colours are those of Okabe and Ito (2008) without their yellow, which is too pale for thin lines
//! on white; with the shapes, no chart depends on colour alone.

use anyhow::Result;
use plotters::style::{Color, RGBAColor, RGBColor};

use super::canvas::Canvas;

/// Text and axes.
pub(crate) const INK: RGBColor = RGBColor(32, 32, 32);
/// Text that comes second.
pub(crate) const FAINT: RGBColor = RGBColor(96, 96, 96);
/// Lines behind the data.
pub(crate) const GRID: RGBColor = RGBColor(222, 222, 222);

/// Fields of a matrix: all is as it should be, something is not, it failed, nothing was seen.
pub(crate) const EQUAL: RGBColor = RGBColor(207, 232, 245);
pub(crate) const UNEQUAL: RGBColor = RGBColor(245, 190, 120);
pub(crate) const FAILED: RGBColor = RGBColor(70, 70, 70);
pub(crate) const UNSEEN: RGBColor = RGBColor(240, 240, 240);

const VES: RGBColor = RGBColor(213, 94, 0);
/// Collectors that have a colour of their own wherever they appear.
const KNOWN: [(&str, RGBColor, Shape); 6] = [
    ("fluent-bit", RGBColor(0, 114, 178), Shape::Square),
    ("vector", RGBColor(0, 158, 115), Shape::Triangle),
    ("rsyslog", RGBColor(170, 70, 135), Shape::Diamond),
    ("otelcol", RGBColor(64, 160, 220), Shape::TriangleDown),
    ("filebeat", RGBColor(205, 140, 0), Shape::Cross),
    ("syslog-ng", RGBColor(70, 70, 70), Shape::Plus),
];
/// For others, in the order in which they come.
const OTHERS: [(RGBColor, Shape); 4] = [
    (RGBColor(120, 80, 20), Shape::Square),
    (RGBColor(110, 120, 0), Shape::Triangle),
    (RGBColor(90, 60, 170), Shape::Diamond),
    (RGBColor(150, 150, 150), Shape::TriangleDown),
];

/// The mark of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Disc,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
    Cross,
    Plus,
}

/// Colour and shape of a collector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Look {
    pub(crate) color: RGBColor,
    pub(crate) shape: Shape,
    /// VES is drawn stronger and last.
    pub(crate) is_ves: bool,
}

impl Look {
    /// The look of `name`; `all` are the collectors of the comparison, in a fixed order.
    pub(crate) fn of(name: &str, all: &[String]) -> Look {
        if name == "ves" {
            return Look {
                color: VES,
                shape: Shape::Disc,
                is_ves: true,
            };
        }
        if let Some((_, color, shape)) = KNOWN.iter().find(|(known, ..)| *known == name) {
            return Look {
                color: *color,
                shape: *shape,
                is_ves: false,
            };
        }
        let is_known = |name: &str| name == "ves" || KNOWN.iter().any(|(known, ..)| *known == name);
        let place = all
            .iter()
            .filter(|other| !is_known(other))
            .position(|other| other == name)
            .unwrap_or(0);
        let (color, shape) = OTHERS[place % OTHERS.len()];
        Look {
            color,
            shape,
            is_ves: false,
        }
    }

    /// The colour; paler for a `default` configuration, and opaque, so that marks that lie on each
    /// other stay pale.
    pub(crate) fn tone(&self, is_tuned: bool) -> RGBAColor {
        if is_tuned {
            return self.color.to_rgba();
        }
        let pale = |part: u8| part / 2 + 127;
        RGBColor(pale(self.color.0), pale(self.color.1), pale(self.color.2)).to_rgba()
    }

    /// Draws its mark. A hollow one stands for a figure that is not a collector's best effort at the
    /// planned rate.
    pub(crate) fn mark(
        &self,
        canvas: &mut Canvas,
        (x, y): (f64, f64),
        radius: f64,
        color: RGBAColor,
        is_hollow: bool,
    ) -> Result<()> {
        let corners: Vec<(f64, f64)> = match self.shape {
            Shape::Disc => {
                return canvas.circle((x, y), radius, color, is_hollow.then_some(3.0));
            }
            Shape::Square => vec![(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
            Shape::Triangle => vec![(0.0, -1.1), (1.0, 0.8), (-1.0, 0.8)],
            Shape::TriangleDown => vec![(0.0, 1.1), (1.0, -0.8), (-1.0, -0.8)],
            Shape::Diamond => vec![(0.0, -1.2), (1.05, 0.0), (0.0, 1.2), (-1.05, 0.0)],
            Shape::Cross | Shape::Plus => {
                let arm = if self.shape == Shape::Cross {
                    (0.8, 0.8)
                } else {
                    (0.0, 1.1)
                };
                let width = if is_hollow { 2.5 } else { radius * 0.6 };
                for (dx, dy) in [arm, (arm.1, -arm.0)] {
                    let (dx, dy) = (dx * radius, dy * radius);
                    canvas.line((x - dx, y - dy), (x + dx, y + dy), color, width)?;
                }
                if is_hollow {
                    canvas.circle((x, y), radius, color, Some(2.0))?;
                }
                return Ok(());
            }
        };
        let mut corners: Vec<(f64, f64)> = corners
            .into_iter()
            .map(|(dx, dy)| (x + dx * radius, y + dy * radius))
            .collect();
        if is_hollow {
            corners.push(corners[0]);
            canvas.path(&corners, color, 3.0)
        } else {
            canvas.polygon(&corners, color)
        }
    }
}
