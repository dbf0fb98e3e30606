//! How many workers a queue wants: one function, for whoever scales, draws or simulates.

/// Workers that are never exceeded.
pub const MOST_WORKERS: u64 = 1_000;

/// Workers wanted for so many tasks that wait or run. `idle`: there has been nothing to do for a while.
///
/// A short queue is worked off by one; the longer it is, the fewer tasks stand behind each worker.
pub fn wanted_workers(depth: u64, idle: bool) -> u64 {
    let wanted = match depth {
        0 if idle => return 0,
        0..10 => 1,
        10..50 => depth / 10,
        50..200 => depth / 5,
        _ => depth / 2,
    };
    wanted.clamp(1, MOST_WORKERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_design_holds() {
        for (depth, idle, workers) in [
            (0, true, 0),
            (0, false, 1),
            (1, true, 1),
            (9, false, 1),
            (10, false, 1),
            (19, false, 1),
            (20, false, 2),
            (49, false, 4),
            (50, false, 10),
            (199, false, 39),
            (200, false, 100),
            (1_999, false, 999),
            (2_000, false, 1_000),
            (u64::MAX, false, 1_000),
        ] {
            assert_eq!(wanted_workers(depth, idle), workers, "depth {depth}, idle {idle}");
        }
    }

    #[test]
    fn more_work_never_wants_fewer_workers() {
        let wanted: Vec<u64> = (0..5_000).map(|depth| wanted_workers(depth, true)).collect();
        assert!(wanted.is_sorted());
    }
}
