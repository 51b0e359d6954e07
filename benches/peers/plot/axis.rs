//! [`Axis`]: where a figure is between two edges, and where its marks are.

/// A direction along which figures grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// The smallest and the largest figure, and the logarithms of them if the scale is logarithmic.
    low: f64,
    high: f64,
    is_log: bool,
    /// Between two marks.
    step: f64,
    /// Where these two are.
    from: f64,
    to: f64,
}

impl Axis {
    /// From 0 to a round figure above all of these.
    pub(super) fn linear(figures: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let highest = figures.filter(|figure| figure.is_finite()).fold(0.0, f64::max).max(1.0);
        let step = step_for(highest);
        Axis { low: 0.0, high: (highest / step).ceil() * step, is_log: false, step, from, to }
    }

    /// From 0 to the largest of these.
    pub(super) fn up_to_the_last(figures: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let high = figures.filter(|figure| figure.is_finite()).fold(0.0, f64::max).max(1.0);
        Axis { low: 0.0, high, is_log: false, step: step_for(high), from, to }
    }

    /// Whole powers of ten around all of these. Nothing is not on the axis.
    pub(super) fn logarithmic(figures: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let logs: Vec<f64> =
            figures.filter(|figure| figure.is_finite() && *figure > 0.0).map(f64::log10).collect();
        let low = logs.iter().copied().reduce(f64::min).map_or(0.0, f64::floor);
        let high = logs.iter().copied().reduce(f64::max).map_or(1.0, f64::ceil).max(low + 1.0);
        Axis { low, high, is_log: true, step: 1.0, from, to }
    }

    /// Where a figure is. What is smaller or larger than all is at the edge.
    pub(super) fn at(&self, figure: f64) -> f64 {
        let figure = match self.is_log {
            true if figure > 0.0 => figure.log10(),
            true => self.low,
            false => figure,
        };
        let part = ((figure - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + part * (self.to - self.from)
    }

    /// Figures that are worth a mark.
    pub(super) fn marks(&self) -> Vec<f64> {
        // What was made of steps may be short of a whole number of them by a rounding.
        let count = ((self.high - self.low) / self.step + 1e-9).floor() as u32;
        let mark = |at: u32| self.low + f64::from(at) * self.step;
        (0..=count).map(|at| if self.is_log { 10f64.powf(mark(at)) } else { mark(at) }).collect()
    }
}

/// A round figure that goes into this one from two to five times.
fn step_for(highest: f64) -> f64 {
    let power = 10f64.powf(highest.log10().floor());
    match highest / power {
        5.0.. => 2.0 * power,
        2.0.. => power,
        _ => power / 2.0,
    }
}

/// Microseconds with their unit.
pub(super) fn micros(figure: f64) -> String {
    match figure {
        1e6.. => format!("{} s", figure / 1e6),
        1e3.. => format!("{} ms", figure / 1e3),
        1.0.. => format!("{figure} µs"),
        _ => format!("{:.0} ns", figure * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_begins_at_nothing_and_ends_at_a_round_figure() {
        let axis = Axis::linear([310.0, 420.0].into_iter(), 100.0, 0.0);
        assert_eq!(axis.marks(), [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        assert_eq!((axis.at(0.0), axis.at(250.0), axis.at(9000.0)), (100.0, 50.0, 0.0));
        assert_eq!(Axis::linear(std::iter::empty(), 0.0, 1.0).marks(), [0.0, 0.5, 1.0]);
        let axis = Axis::up_to_the_last([12.0, 3.0].into_iter(), 0.0, 24.0);
        assert_eq!((axis.marks(), axis.at(12.0)), (vec![0.0, 5.0, 10.0], 24.0));
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten() {
        let axis = Axis::logarithmic([0.7, 0.0, 2500.0].into_iter(), 0.0, 100.0);
        assert_eq!(
            axis.marks().iter().copied().map(micros).collect::<Vec<_>>(),
            ["100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]
        );
        assert_eq!((axis.at(0.1), axis.at(10.0), axis.at(0.0)), (0.0, 40.0, 0.0));
        assert_eq!(Axis::logarithmic(std::iter::empty(), 0.0, 1.0).marks(), [1.0, 10.0]);
    }
}
