//! What is left to chance, from a seed.

use std::time::Duration;

use super::Service;

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
pub(super) struct Generator(u64);

/// What chance decides. Each has numbers of its own, so that a flood, say, changes nothing about when the others ask.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Arrivals = 1,
    Requests,
    Flood,
    Backoff,
    Nodes,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Generator {
    pub(super) fn new(seed: u64, stream: Stream) -> Generator {
        Generator(mixed(seed ^ mixed(GOLDEN.wrapping_mul(stream as u64))))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mixed(self.0)
    }

    /// At least 0, less than 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Which part of a sum is hit; `sums` are running sums.
    pub(super) fn one_of(&mut self, sums: &[f64]) -> usize {
        let whole = sums.last().copied().unwrap_or_default();
        let hit = self.fraction() * whole;
        sums.partition_point(|sum| *sum <= hit).min(sums.len().saturating_sub(1))
    }

    /// Of mean 0 and deviation 1 (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.fraction()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.fraction()).cos()
    }

    /// Whole milliseconds: mathematical libraries disagree about last digits, and nothing should depend on them.
    pub(super) fn service(&mut self, service: &Service, longest: Duration) -> Duration {
        let seconds = match service {
            Service::LogNormal { median, .. } => {
                median.as_secs_f64() * (service.deviation() * self.normal()).exp()
            }
            Service::Exponential { mean } => -mean.as_secs_f64() * (1.0 - self.fraction()).ln(),
        };
        milliseconds(seconds.min(longest.as_secs_f64()))
    }
}

pub(super) fn milliseconds(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1_000.0).round() as u64)
}

fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Service {
    /// Of the logarithm.
    fn deviation(&self) -> f64 {
        /// The 95th percentile of the normal distribution.
        const P95: f64 = 1.644_853_626_951_472_2;
        match self {
            Service::LogNormal { median, p95 } => (p95.as_secs_f64() / median.as_secs_f64()).ln() / P95,
            Service::Exponential { .. } => 0.0,
        }
    }

    /// On average, were there no longest.
    pub fn mean(&self) -> Duration {
        let seconds = match self {
            Service::LogNormal { median, .. } => {
                median.as_secs_f64() * (self.deviation().powi(2) / 2.0).exp()
            }
            Service::Exponential { mean } => mean.as_secs_f64(),
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let mut generator = Generator(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(expected.map(|_| generator.next()), expected);
    }

    #[test]
    fn service_times_have_the_median_and_the_percentile_that_were_asked_for() {
        let service = Service::LogNormal { median: Duration::from_secs(90), p95: Duration::from_secs(600) };
        let mut generator = Generator::new(1, Stream::Requests);
        let mut times: Vec<Duration> =
            (0..100_000).map(|_| generator.service(&service, Duration::from_secs(3_600))).collect();
        times.sort();
        let near = |at: usize, wanted: f64| (times[at].as_secs_f64() / wanted - 1.0).abs() < 0.03;
        assert!(near(50_000, 90.0) && near(95_000, 600.0), "{:?} {:?}", times[50_000], times[95_000]);
        assert_eq!(times[99_999], Duration::from_secs(3_600));
        let mean = service.mean().as_secs_f64();
        assert!((mean / 175.0 - 1.0).abs() < 0.01, "{mean}");
    }
}
