//! Medians of measured times, and ratios between those of two programs.
//!
//! On a shared machine times drift. The two programs of a comparison run alternately, so the two
//! times of one round were measured under nearly the same load, and the spread of the rounds'
//! ratios shows how much of a difference is noise.

/// Returns the median: the upper one of two.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 2)
}

/// Returns the value below which `quarters` quarters of all values lie.
fn quantile(values: &[f64], quarters: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * quarters / 4).min(sorted.len() - 1)]
}

/// What the new program took compared to the old one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median of the old program.
    pub old: f64,
    /// The median of the new program.
    pub new: f64,
    /// The lower and the upper quartile of the ratios of single rounds.
    pub rounds: (f64, f64),
}

impl Ratio {
    /// Compares values of the same rounds, in the order of the rounds.
    pub fn of(old: &[f64], new: &[f64]) -> Ratio {
        let ratios: Vec<f64> = new.iter().zip(old).map(|(new, old)| new / old).collect();
        let rounds = (quantile(&ratios, 1), quantile(&ratios, 3));
        Ratio { old: median(old), new: median(new), rounds }
    }

    /// Returns new divided by old: above 1 the new program has the higher value.
    pub fn value(self) -> f64 {
        self.new / self.old
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_does_not_depend_on_the_order() {
        assert_eq!(super::median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(super::median(&[1.0, 4.0]), 4.0);
        assert_eq!(super::median(&[7.0]), 7.0);
    }

    #[test]
    fn a_ratio_is_of_medians_and_shows_the_spread_of_the_rounds() {
        let old = [1.0, 2.0, 4.0, 8.0, 100.0];
        let new = [2.0, 2.0, 2.0, 8.0, 50.0];
        let ratio = super::Ratio::of(&old, &new);
        assert_eq!((ratio.old, ratio.new, ratio.value()), (4.0, 2.0, 0.5));
        assert_eq!(ratio.rounds, (0.5, 1.0));
    }

    #[test]
    fn equal_programs_have_a_ratio_of_one() {
        let ratio = super::Ratio::of(&[1.5, 2.5], &[1.5, 2.5]);
        assert_eq!((ratio.value(), ratio.rounds), (1.0, (1.0, 1.0)));
    }
}
