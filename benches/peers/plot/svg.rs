//! [`Svg`]: text, lines and boxes on a white ground, in panels one below the other.

use std::fmt::Write as _;

/// Width of everything.
pub(super) const WIDTH: f64 = 960.0;
/// What is free at the edges.
pub(super) const MARGIN: f64 = 16.0;

/// The colour of text.
pub(super) const INK: &str = "#1f2328";
/// The colour of what explains.
pub(super) const PALE: &str = "#656d76";
/// The colour of lines that only guide.
pub(super) const FAINT: &str = "#d8dee4";

/// Where a text stands, seen from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing that grows downwards.
pub(super) struct Svg {
    body: String,
    /// Where the next panel begins.
    pub(super) bottom: f64,
}

impl Svg {
    pub(super) fn new() -> Svg {
        Svg { body: String::new(), bottom: MARGIN }
    }

    /// A line of text, with its middle at `y`.
    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, size: u32, colour: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        // Not every program that shows these knows where the middle of a text is.
        let y = y + 0.35 * f64::from(size);
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{colour}\">{}</text>",
            escaped(text)
        );
    }

    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, colour: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        );
    }

    /// A line through these points.
    pub(super) fn path(&mut self, points: &[(f64, f64)], colour: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            self.body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-linejoin=\"round\"/>",
            points.join(" ")
        );
    }

    /// A filled shape with these corners.
    pub(super) fn shape(&mut self, corners: &[(f64, f64)], colour: &str) {
        let corners: Vec<String> = corners.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.body, "<polygon points=\"{}\" fill=\"{colour}\"/>", corners.join(" "));
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, radius: f64, colour: &str) {
        let _ = writeln!(self.body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>");
    }

    /// The whole drawing, if there is anything in it.
    pub(super) fn finish(self) -> Option<String> {
        if self.body.is_empty() {
            return None;
        }
        let height = self.bottom + MARGIN;
        let mut out = String::new();
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
             height=\"{height:.0}\" font-family=\"Helvetica, Arial, sans-serif\">"
        );
        // A page may be dark, and what is drawn here is dark too.
        let _ = writeln!(out, "<rect width=\"{WIDTH:.0}\" height=\"{height:.0}\" fill=\"#ffffff\"/>");
        out.push_str(&self.body);
        out.push_str("</svg>\n");
        Some(out)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_nothing_is_no_drawing() {
        assert_eq!(Svg::new().finish(), None);
        let mut svg = Svg::new();
        svg.text(1.0, 2.0, Anchor::End, 10, INK, "a < \"b\" & c");
        assert!(svg.finish().unwrap().contains(">a &lt; &quot;b&quot; &amp; c</text>"));
    }
}
