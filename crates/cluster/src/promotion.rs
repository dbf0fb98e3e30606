//! Taking a release to people step by step, on Kubernetes alone: a Deployment replaces its pods, is paused at each step, and is looked
//! at; or all of its pods stand beside the others, and a Service leads to the ones or the others. `docs/delivery.md` tells more.
//!
//! A Deployment that is paused goes on to scale, and takes the others away as soon as as many of the new ones count as are wanted. So what
//! stands beside others is not paused: its pods do not count until they are let go.
//!
//! What share of what people ask the release answers is what share of the pods it has: a Service leads to all of them alike.

mod gates;
mod release;
mod standing;
mod workload;

pub use self::{
    gates::{Look, Questions, Verdict},
    release::{Changed, Course, GATEWAY, Refusal, Release, Way},
    standing::Standing,
    workload::{Hold, Installation, Kind, Workload, image_name, pin},
};

/// Shares of the pods, in percent, at which a release is looked at; the last is all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps(Vec<u32>);

impl Steps {
    /// Each more than the one before, from 1 to 100.
    pub fn new(shares: Vec<u32>) -> Result<Steps, String> {
        let grow = shares.windows(2).all(|pair| pair[0] < pair[1]);
        match (shares.first(), shares.last()) {
            (Some(1..), Some(100)) if grow => Ok(Steps(shares)),
            _ => Err("expected shares that grow, the last of them 100, such as 10,50,100".to_owned()),
        }
    }

    /// In their order.
    pub fn shares(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_to_all() {
        for good in [vec![100], vec![1, 100], vec![10, 50, 100]] {
            assert!(Steps::new(good).is_ok());
        }
        for bad in [vec![], vec![0, 100], vec![50], vec![50, 10, 100], vec![10, 10, 100], vec![10, 100, 150]]
        {
            assert!(Steps::new(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
