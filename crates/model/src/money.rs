//! Money, in whatever currency: exact to a millionth, so that sums come out the same wherever they are made.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// An amount, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Money(u64);

const UNIT: u64 = 1_000_000;
const DECIMALS: usize = 6;
/// More whole units than anybody has; the database keeps the millionths of it.
const MOST_UNITS: u64 = 1_000_000_000_000;
const MICROSECONDS_AN_HOUR: u128 = 3_600_000_000;

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);
    /// As much as can be written.
    pub const MOST: Money = Money(MOST_UNITS * UNIT);

    /// From how it is stored; at most [`Money::MOST`].
    pub fn from_millionths(millionths: u64) -> Money {
        Money(millionths).min(Money::MOST)
    }

    /// As it is stored.
    pub fn millionths(self) -> u64 {
        self.0
    }
}

/// With two decimals, and more where there are any.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:0DECIMALS$}", self.0 % UNIT);
        let further = decimals[2..].trim_end_matches('0');
        f.pad(&format!("{}.{}{further}", self.0 / UNIT, &decimals[..2]))
    }
}

/// The text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal number.
    #[error("`{0}` is not an amount: write a plain decimal number without a currency, such as 2.50")]
    Written(String),
    /// What is written would not be what is kept.
    #[error("`{0}` has more than {DECIMALS} decimals: a millionth is the least amount")]
    Decimals(String),
    /// More than can be kept.
    #[error("`{0}` is too much: give at most {MOST_UNITS}")]
    TooMuch(String),
    /// Nothing, where something is needed.
    #[error("`{0}` is nothing: give more than 0")]
    Nothing(String),
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Money, MoneyError> {
        let (units, decimals) = match text.split_once('.') {
            None => (text, ""),
            Some((_, "")) => return Err(MoneyError::Written(text.to_owned())),
            Some(parts) => parts,
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if units.is_empty() || !digits(units) || !digits(decimals) {
            return Err(MoneyError::Written(text.to_owned()));
        }
        let significant = decimals.trim_end_matches('0');
        if significant.len() > DECIMALS {
            return Err(MoneyError::Decimals(text.to_owned()));
        }
        let too_much = || MoneyError::TooMuch(text.to_owned());
        // What does not fit has too many digits.
        let units: u64 = units.parse().map_err(|_| too_much())?;
        let millionths: u64 = format!("{significant:0<DECIMALS$}").parse().map_err(|_| too_much())?;
        let amount = units.checked_mul(UNIT).and_then(|whole| whole.checked_add(millionths)).map(Money);
        amount.filter(|amount| *amount <= Money::MOST).ok_or_else(too_much)
    }
}

impl TryFrom<String> for Money {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Money, MoneyError> {
        text.parse()
    }
}

impl From<Money> for String {
    fn from(money: Money) -> String {
        money.to_string()
    }
}

/// What it costs that a worker holds one task for an hour; never nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct WorkerPrice(Money);

impl WorkerPrice {
    /// An hour for that; none for nothing.
    pub fn an_hour(price: Money) -> Option<WorkerPrice> {
        (price > Money::ZERO).then_some(WorkerPrice(price))
    }

    /// Of an hour.
    pub fn of_hour(self) -> Money {
        self.0
    }

    /// What so much time costs, in whole millionths: a part of one is not owed yet.
    pub fn cost(self, time: Duration) -> Money {
        let millionths = time.as_micros().saturating_mul(u128::from(self.0.0)) / MICROSECONDS_AN_HOUR;
        Money::from_millionths(u64::try_from(millionths).unwrap_or(u64::MAX))
    }

    /// The first moment at which that much is owed: `cost(time) >= money` exactly from then on.
    pub fn buys(self, money: Money) -> Duration {
        let microseconds = (u128::from(money.0) * MICROSECONDS_AN_HOUR).div_ceil(u128::from(self.0.0));
        Duration::from_micros(u64::try_from(microseconds).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for WorkerPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for WorkerPrice {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<WorkerPrice, MoneyError> {
        WorkerPrice::an_hour(text.parse()?).ok_or_else(|| MoneyError::Nothing(text.to_owned()))
    }
}

impl TryFrom<String> for WorkerPrice {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<WorkerPrice, MoneyError> {
        text.parse()
    }
}

impl From<WorkerPrice> for String {
    fn from(price: WorkerPrice) -> String {
        price.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_and_shown() {
        for (text, millionths, shown) in [
            ("2.50", 2_500_000, "2.50"),
            ("2.5", 2_500_000, "2.50"),
            ("10", 10_000_000, "10.00"),
            ("0.05", 50_000, "0.05"),
            ("0.000001", 1, "0.000001"),
            ("0.1234000", 123_400, "0.1234"),
            ("007", 7_000_000, "7.00"),
            ("1000000000000", 1_000_000_000_000_000_000, "1000000000000.00"),
        ] {
            let money: Money = text.parse().unwrap();
            assert_eq!((money.millionths(), money.to_string().as_str()), (millionths, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_what_would_be() {
        for bad in ["", ".", "5.", ".5", "-1", "+1", "1e3", "1,50", "1.2.3", "€2", "2 €", "free", "NaN", "١"]
        {
            let error = bad.parse::<Money>().unwrap_err();
            assert_eq!(error, MoneyError::Written(bad.to_owned()));
            assert!(error.to_string().contains("2.50"), "{error}");
        }
        let fine = "0.0000001";
        assert_eq!(fine.parse::<Money>(), Err(MoneyError::Decimals(fine.to_owned())));
        for much in ["1000000000000.000001", "18446744073709551616", "18446744073709.6"] {
            assert_eq!(much.parse::<Money>(), Err(MoneyError::TooMuch(much.to_owned())));
        }
        assert_eq!("0.00".parse::<WorkerPrice>(), Err(MoneyError::Nothing("0.00".to_owned())));
    }

    #[test]
    fn time_costs_what_it_costs() {
        let price: WorkerPrice = "0.05".parse().unwrap();
        for (seconds, cost) in [(3_600, "0.05"), (7_200, "0.10"), (60, "0.000833"), (0, "0.00")] {
            assert_eq!(price.cost(Duration::from_secs(seconds)).to_string(), cost, "{seconds} s");
        }
        assert_eq!(price.cost(Duration::MAX), Money::MOST, "and no more than that");
        assert_eq!(price.buys("2.50".parse().unwrap()), Duration::from_secs(50 * 3_600));
    }

    fn money() -> impl Strategy<Value = Money> {
        prop_oneof![0..10_000_u64, 0..100 * UNIT, 0..=Money::MOST.0].prop_map(Money)
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(amount in money()) {
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            let written = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&written).unwrap(), amount);
        }

        #[test]
        fn a_budget_lasts_exactly_as_long_as_it_buys(price in money(), budget in money(), microseconds: u64) {
            let Some(price) = WorkerPrice::an_hour(price) else { return Ok(()) };
            let time = Duration::from_micros(microseconds);
            let lasts = price.buys(budget);
            prop_assert_eq!(price.cost(time) >= budget, time >= lasts);
            if let Some(before) = lasts.checked_sub(Duration::from_micros(1)) {
                prop_assert!(price.cost(before) < budget);
            }
        }

        #[test]
        fn parts_never_cost_more_than_the_whole_and_only_parts_of_millionths_less(
            price in money(), parts in proptest::collection::vec(0..1_000_000_000_000_u64, 1..20)
        ) {
            let Some(price) = WorkerPrice::an_hour(price) else { return Ok(()) };
            let of = |microseconds: u64| u128::from(price.cost(Duration::from_micros(microseconds)).millionths());
            let (sum, whole) = (parts.iter().map(|part| of(*part)).sum::<u128>(), of(parts.iter().sum()));
            if whole < u128::from(Money::MOST.0) {
                prop_assert!(sum <= whole && whole - sum <= parts.len() as u128, "{} {}", sum, whole);
            }
        }
    }
}
