//! What all lists have in common: how many at once, and how several words are written in one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error};
use utoipa::IntoParams;

use crate::problem::{Kind, Problem};

/// In one answer, at most and without a word.
const MOST: usize = 500;
const USUALLY: usize = 50;

/// Which part of a list that is by name and nothing else.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ByName {
    /// How many, at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub(super) limit: Option<usize>,
    /// Only those whose names come after that one: `next` of the answer before.
    pub(super) after: Option<String>,
}

/// How many somebody gets.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked.unwrap_or(USUALLY) {
        limit if (1..=MOST).contains(&limit) => Ok(limit),
        _ => Err(Problem::new(Kind::Malformed, format!("limit is a number from 1 to {MOST}"))),
    }
}

/// The place to go on from, when there may be more than these.
pub(super) fn next<T, Place>(found: &[T], limit: usize, place: impl Fn(&T) -> Place) -> Option<Place> {
    found.last().filter(|_| found.len() == limit).map(place)
}

/// Several words with commas between them.
pub(super) fn separated<'de, D, T>(input: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let text = String::deserialize(input)?;
    text.split(',').map(|word| word.parse().map_err(D::Error::custom)).collect()
}
