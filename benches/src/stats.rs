//! The few statistics that the reports need.

use serde::{Deserialize, Deserializer, Serialize};

/// The middle of a sample and its extremes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Nothing if there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Spread { median, low, high })
    }
}

/// The median, or nothing if there are no values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    Spread::of(values).map(|spread| spread.median)
}

/// A ratio of paired figures and its 95 % interval.
///
/// It is the t-interval of the mean of the logarithms of the ratios, taken back: a pair is one round, whose two figures met
/// the same machine. Logarithms, because a half and a double are equally far from one. It assumes that the rounds are
/// independent and their logarithms about normal, and widens quickly when there are few: 12.7 standard errors for two
/// rounds, 2.8 for five.
///
/// A few rounds may agree by chance, and then their deviation is far too small. So it is taken to be at least a *usual* one,
/// where one is known: see [`usual_deviation`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) estimate: f64,
    /// The interval's ends; from 0 to infinity after a single round, which JSON writes as `null`.
    pub(crate) low: f64,
    #[serde(deserialize_with = "or_infinity")]
    pub(crate) high: f64,
    /// Whether the interval leaves out 1: only then do the two differ.
    pub(crate) resolved: bool,
}

fn or_infinity<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
}

impl Ratio {
    /// Of `own` to `other`, paired in order, of which one deviates usually so much. Nothing without a pair of positive
    /// figures.
    pub(crate) fn paired(own: &[f64], other: &[f64], usual: f64) -> Option<Ratio> {
        let logs = logarithms(own, other)?;
        let (mean, deviation) = deviation(&logs);
        let reach = match logs.len() {
            1 => f64::INFINITY,
            rounds => student(rounds - 1) * deviation.max(usual) / (rounds as f64).sqrt(),
        };
        let (low, high) = ((mean - reach).exp(), (mean + reach).exp());
        Some(Ratio { estimate: mean.exp(), low, high, resolved: low > 1.0 || high < 1.0 })
    }
}

/// What the logarithms of the ratios of several pairs of figures deviate by, in the middle of them: half of the rows of a
/// table are steadier than that, most of them by chance.
pub(crate) fn usual_deviation<'a>(pairs: impl Iterator<Item = (&'a [f64], &'a [f64])>) -> f64 {
    let logs = pairs.filter_map(|(own, other)| logarithms(own, other)).filter(|logs| logs.len() > 1);
    median(logs.map(|logs| deviation(&logs).1)).unwrap_or(0.0)
}

/// Of the ratios, pair by pair.
fn logarithms(own: &[f64], other: &[f64]) -> Option<Vec<f64>> {
    let logs: Vec<f64> = own.iter().zip(other).map(|(own, other)| (own / other).ln()).collect();
    (!logs.is_empty() && logs.iter().all(|log| log.is_finite())).then_some(logs)
}

/// Mean and standard deviation.
fn deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

/// The 97.5 % quantile of Student's t distribution.
fn student(freedom: usize) -> f64 {
    const QUANTILES: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
        2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
        2.045, 2.042,
    ];
    // Beyond the table the last one, which is a little too wide.
    QUANTILES[freedom.clamp(1, QUANTILES.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_sample_has_a_middle_value() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, low: 1.0, high: 3.0 }));
    }

    #[test]
    fn an_even_sample_averages_the_two_in_the_middle() {
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn no_values_have_no_median() {
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_steady_ratio_is_resolved_whatever_the_machine_does_to_both() {
        let ratio = Ratio::paired(&[20.0, 41.0, 9.9], &[10.0, 20.0, 5.0], 0.0).unwrap();
        assert!((ratio.estimate - 2.01).abs() < 0.01, "{ratio:?}");
        assert!(ratio.resolved && ratio.low > 1.9 && ratio.high < 2.2, "{ratio:?}");
    }

    #[test]
    fn a_ratio_that_crosses_one_is_not_resolved() {
        let ratio = Ratio::paired(&[1.1, 0.9, 1.2], &[1.0, 1.0, 1.0], 0.0).unwrap();
        assert!(!ratio.resolved && ratio.low < 1.0 && ratio.high > 1.0, "{ratio:?}");
    }

    /// Logarithms ln 2 and ln 8: mean ln 4, standard error ln 2, so 4 times or divided by 2 to the power of 12.706.
    #[test]
    fn two_rounds_make_the_interval_that_student_says() {
        let ratio = Ratio::paired(&[2.0, 8.0], &[1.0, 1.0], 0.0).unwrap();
        let reach = 2.0_f64.powf(12.706);
        assert!((ratio.estimate - 4.0).abs() < 1e-9, "{ratio:?}");
        assert!((ratio.high / (4.0 * reach) - 1.0).abs() < 1e-9, "{ratio:?}");
        assert!((ratio.low * reach / 4.0 - 1.0).abs() < 1e-9, "{ratio:?}");
    }

    #[test]
    fn rounds_that_agree_by_chance_are_not_believed_more_than_is_usual() {
        let (own, other) = ([1.01; 5], [1.0; 5]);
        assert!(Ratio::paired(&own, &other, 0.0).unwrap().resolved);
        let restless = [1.1, 0.9, 1.0, 1.1, 0.9];
        let usual =
            usual_deviation([(&own[..], &other[..]), (&restless, &other), (&restless, &other)].into_iter());
        assert!((0.09..0.11).contains(&usual), "{usual}");
        assert!(!Ratio::paired(&own, &other, usual).unwrap().resolved);
        assert_eq!(usual_deviation(std::iter::empty()), 0.0);
    }

    #[test]
    fn one_round_resolves_nothing() {
        let ratio = Ratio::paired(&[9.0], &[1.0], 0.0).unwrap();
        assert_eq!((ratio.low, ratio.high, ratio.resolved), (0.0, f64::INFINITY, false));
        assert_eq!(Ratio::paired(&[], &[], 0.0), None);
        assert_eq!(Ratio::paired(&[0.0], &[1.0], 0.0), None);
    }
}
