//! A white page of [`WIDTH`] by [`HEIGHT`] to draw on, in these units, with text in the built-in
//! fonts; saved as a PNG. Everything is drawn at twice the size and averaged down, because plotters
//! draws lines without smoothing. Knows nothing of what is drawn.

use std::path::Path;
use std::sync::Once;

use anyhow::{Context, Result, anyhow};
use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBAColor, ShapeStyle, TextStyle};

/// Width of a chart.
pub(crate) const WIDTH: u32 = 1920;
/// Height of a chart.
pub(crate) const HEIGHT: u32 = 1080;
const SCALE: u32 = 2;
const FONT: &str = "DejaVu Sans";

/// Where text stands beside its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Center,
    Right,
}

/// How text looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Font {
    /// Height of a line.
    pub(crate) size: f64,
    pub(crate) is_bold: bool,
    pub(crate) color: RGBAColor,
}

/// A part of the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Area {
    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// Smaller by this much on each side.
    pub(crate) fn inset(&self, left: f64, top: f64, right: f64, bottom: f64) -> Area {
        Area {
            left: self.left + left,
            top: self.top + top,
            right: self.right - right,
            bottom: self.bottom - bottom,
        }
    }

    /// Its cells when it is cut into `rows` and `columns` with gaps in between, row by row.
    pub(crate) fn grid(&self, rows: usize, columns: usize, gap: f64) -> Vec<Area> {
        let width = (self.width() - gap * (columns as f64 - 1.0)) / columns as f64;
        let height = (self.height() - gap * (rows as f64 - 1.0)) / rows as f64;
        (0..rows * columns)
            .map(|index| {
                let left = self.left + (index % columns) as f64 * (width + gap);
                let top = self.top + (index / columns) as f64 * (height + gap);
                Area {
                    left,
                    top,
                    right: left + width,
                    bottom: top + height,
                }
            })
            .collect()
    }
}

/// The page.
#[derive(Debug)]
pub(crate) struct Canvas {
    pixels: Vec<u8>,
}

impl Canvas {
    pub(crate) fn new() -> Canvas {
        static FONTS: Once = Once::new();
        FONTS.call_once(|| {
            // They are built in: that they can be read is what the tests of charts show.
            let regular = include_bytes!("../../fonts/DejaVuSans.ttf");
            let bold = include_bytes!("../../fonts/DejaVuSans-Bold.ttf");
            let _ = plotters::style::register_font(FONT, FontStyle::Normal, regular);
            let _ = plotters::style::register_font(FONT, FontStyle::Bold, bold);
        });
        Canvas {
            pixels: vec![255; (WIDTH * SCALE * HEIGHT * SCALE * 3) as usize],
        }
    }

    /// Fills a rectangle.
    pub(crate) fn fill(&mut self, area: Area, color: RGBAColor) -> Result<()> {
        let style = ShapeStyle {
            color,
            filled: true,
            stroke_width: 0,
        };
        let (from, to) = (at(area.left, area.top), at(area.right, area.bottom));
        self.draw(|backend| backend.draw_rect(from, (to.0 - 1, to.1 - 1), &style, true))
    }

    /// Fills a rectangle with slanted stripes.
    pub(crate) fn hatch(&mut self, area: Area, color: RGBAColor) -> Result<()> {
        let step = 12.0;
        let mut start = area.left - area.height();
        while start < area.right {
            // The part of the stripe from (start, bottom) to (start + height, top) inside the area.
            let (enter, leave) = (
                start.max(area.left),
                (start + area.height()).min(area.right),
            );
            if enter < leave {
                let from = (enter, area.bottom - (enter - start));
                let to = (leave, area.bottom - (leave - start));
                self.line(from, to, color, 3.0)?;
            }
            start += step;
        }
        Ok(())
    }

    /// Draws the edge of a rectangle.
    pub(crate) fn frame(&mut self, area: Area, color: RGBAColor, width: f64) -> Result<()> {
        let corners = [
            (area.left, area.top),
            (area.right, area.top),
            (area.right, area.bottom),
            (area.left, area.bottom),
            (area.left, area.top),
        ];
        self.path(&corners, color, width)
    }

    /// Draws a straight line.
    pub(crate) fn line(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        color: RGBAColor,
        width: f64,
    ) -> Result<()> {
        let style = ShapeStyle {
            color,
            filled: true,
            stroke_width: pixels(width),
        };
        self.draw(|backend| backend.draw_line(at(from.0, from.1), at(to.0, to.1), &style))
    }

    /// Draws a line through points, with round corners.
    pub(crate) fn path(
        &mut self,
        points: &[(f64, f64)],
        color: RGBAColor,
        width: f64,
    ) -> Result<()> {
        for pair in points.windows(2) {
            self.line(pair[0], pair[1], color, width)?;
        }
        if width > 2.0 {
            for point in points.iter().skip(1).rev().skip(1) {
                self.circle(*point, width / 2.0, color, None)?;
            }
        }
        Ok(())
    }

    /// Draws a line through points as dashes: `on` drawn, `off` not.
    pub(crate) fn dashes(
        &mut self,
        points: &[(f64, f64)],
        color: RGBAColor,
        width: f64,
        (on, off): (f64, f64),
    ) -> Result<()> {
        let mut walked = 0.0;
        for pair in points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            let along = |distance: f64| {
                let share = distance / length;
                (
                    from.0 + (to.0 - from.0) * share,
                    from.1 + (to.1 - from.1) * share,
                )
            };
            let mut done = 0.0;
            while done < length {
                let phase = (walked + done) % (on + off);
                let (is_on, left) = if phase < on {
                    (true, on - phase)
                } else {
                    (false, on + off - phase)
                };
                // A step that rounding makes zero would never end.
                let next = (done + left.max(0.01)).min(length);
                if is_on {
                    self.line(along(done), along(next), color, width)?;
                }
                done = next;
            }
            walked += length;
        }
        Ok(())
    }

    /// Draws a disc, or a ring of the given width.
    pub(crate) fn circle(
        &mut self,
        center: (f64, f64),
        radius: f64,
        color: RGBAColor,
        ring: Option<f64>,
    ) -> Result<()> {
        let style = ShapeStyle {
            color,
            filled: ring.is_none(),
            stroke_width: ring.map_or(1, pixels),
        };
        let center = at(center.0, center.1);
        self.draw(|backend| backend.draw_circle(center, pixels(radius), &style, ring.is_none()))
    }

    /// Fills a shape that is given by its corners.
    pub(crate) fn polygon(&mut self, corners: &[(f64, f64)], color: RGBAColor) -> Result<()> {
        let style = ShapeStyle {
            color,
            filled: true,
            stroke_width: 0,
        };
        let corners: Vec<_> = corners
            .iter()
            .map(|corner| at(corner.0, corner.1))
            .collect();
        self.draw(|backend| backend.fill_polygon(corners, &style))
    }

    /// Writes text whose middle is at the height of `point`.
    pub(crate) fn text(
        &mut self,
        text: &str,
        point: (f64, f64),
        align: Align,
        font: Font,
    ) -> Result<()> {
        let shift = match align {
            Align::Left => 0.0,
            Align::Center => self.text_width(text, font)? / 2.0,
            Align::Right => self.text_width(text, font)?,
        };
        let style = style(font);
        // Plotters puts the base line half a size below its point. Capitals and digits are 0.63 of
        // the size high.
        let place = at(point.0 - shift, point.1 + font.size * (0.63 / 2.0 - 0.5));
        self.draw(|backend| backend.draw_text(text, &style, place))
    }

    /// Writes text, smaller where it would be wider than `width`, and cut where it is not readable
    /// any more then.
    pub(crate) fn text_within(
        &mut self,
        text: &str,
        point: (f64, f64),
        align: Align,
        font: Font,
        width: f64,
    ) -> Result<()> {
        let full = self.text_width(text, font)?;
        if full <= width {
            return self.text(text, point, align, font);
        }
        let font = Font {
            size: (font.size * width / full).max(font.size * 0.6).max(13.0),
            ..font
        };
        let mut cut = text.to_owned();
        while self.text_width(&cut, font)? > width && cut.chars().count() > 1 {
            let kept = cut.trim_end_matches('…').chars().count() - 1;
            cut = cut.chars().take(kept).collect::<String>() + "…";
        }
        self.text(&cut, point, align, font)
    }

    /// How wide text is.
    pub(crate) fn text_width(&self, text: &str, font: Font) -> Result<f64> {
        let ((left, _), (right, _)) = style(font)
            .font
            .layout_box(text)
            .map_err(|error| anyhow!("measure text: {error}"))?;
        Ok(f64::from(right - left) / f64::from(SCALE))
    }

    /// Writes the page as a PNG.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut small = vec![0u8; (WIDTH * HEIGHT * 3) as usize];
        let row = (WIDTH * SCALE * 3) as usize;
        for (pair, out) in self
            .pixels
            .chunks_exact(row * 2)
            .zip(small.chunks_exact_mut((WIDTH * 3) as usize))
        {
            let (upper, lower) = pair.split_at(row);
            for (index, out) in out.chunks_exact_mut(3).enumerate() {
                let start = index * 6;
                for (channel, out) in out.iter_mut().enumerate() {
                    let place = start + channel;
                    let sum = u16::from(upper[place])
                        + u16::from(upper[place + 3])
                        + u16::from(lower[place])
                        + u16::from(lower[place + 3]);
                    *out = ((sum + 2) / 4) as u8;
                }
            }
        }
        let failed = || format!("write {}", path.display());
        let mut backend = BitMapBackend::new(path, (WIDTH, HEIGHT));
        backend
            .blit_bitmap((0, 0), (WIDTH, HEIGHT), &small)
            .map_err(|error| anyhow!("{error}"))
            .and_then(|()| backend.present().map_err(|error| anyhow!("{error}")))
            .with_context(failed)
    }

    fn draw<E: std::fmt::Display>(
        &mut self,
        action: impl FnOnce(&mut BitMapBackend) -> std::result::Result<(), E>,
    ) -> Result<()> {
        let size = (WIDTH * SCALE, HEIGHT * SCALE);
        let mut backend = BitMapBackend::with_buffer(&mut self.pixels, size);
        action(&mut backend).map_err(|error| anyhow!("draw: {error}"))
    }
}

fn style(font: Font) -> TextStyle<'static> {
    let face = if font.is_bold {
        FontStyle::Bold
    } else {
        FontStyle::Normal
    };
    let size = font.size * f64::from(SCALE);
    let desc = FontDesc::new(FontFamily::Name(FONT), size, face);
    TextStyle {
        color: font.color.to_backend_color(),
        ..TextStyle::from(desc)
    }
}

fn at(x: f64, y: f64) -> (i32, i32) {
    let scale = f64::from(SCALE);
    ((x * scale).round() as i32, (y * scale).round() as i32)
}

fn pixels(length: f64) -> u32 {
    (length * f64::from(SCALE)).round().max(1.0) as u32
}
