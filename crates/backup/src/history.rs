//! Which timeline came from which: <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES>.
//!
//! A database that was restored to an earlier moment goes on in a timeline of its own, and what was written in the one before after that
//! moment is left.

use crate::{catalogue::Extent, segment::Lsn};

/// The timelines that lead to one, oldest first, each with where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History(Vec<(u32, Lsn)>);

impl History {
    /// As a file `0000000N.history` has it.
    pub(crate) fn read(text: &str) -> Result<History, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = |line: &str| {
            let mut words = line.split_whitespace();
            let timeline = words.next().and_then(|word| word.parse().ok()).ok_or("it has no timeline")?;
            Ok((timeline, words.next().unwrap_or_default().parse()?))
        };
        lines.map(read).collect::<Result<_, String>>().map(History)
    }
}

/// The way from a backup to a timeline: those that follow each other, each with the number of its first file that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way(Vec<(u32, u64)>);

impl Way {
    /// None when the backup is of something that was left: of a timeline that does not lead there, or of what came in it after the
    /// other one had begun.
    pub(crate) fn of(extent: &Extent, to: u32, history: Option<&History>) -> Option<Way> {
        let size = extent.segment_size;
        let mut way = vec![(extent.timeline, extent.from.segment(extent.timeline, size).number)];
        if extent.timeline == to {
            return Some(Way(way));
        }
        let History(before) = history?;
        let own = before.iter().position(|(timeline, _)| *timeline == extent.timeline)?;
        if before[own].1 < extent.to {
            return None;
        }
        for (number, (_, begins)) in before.iter().enumerate().skip(own) {
            let timeline = before.get(number + 1).map_or(to, |(timeline, _)| *timeline);
            way.push((timeline, begins.segment(timeline, size).number));
        }
        Some(Way(way))
    }

    /// Where it leads.
    pub(crate) fn end(&self) -> u32 {
        self.0.last().map_or(0, |(timeline, _)| *timeline)
    }

    /// Is it on the way?
    pub(crate) fn has(&self, timeline: u32) -> bool {
        self.0.iter().any(|(passed, _)| *passed == timeline)
    }

    /// The file that is missing first, of those that are needed up to the last that is `there`, as timeline and number. What is up to
    /// `whole` in the first timeline is in the backup itself.
    pub(crate) fn gap(&self, whole: u64, there: &dyn Fn(u32, u64) -> bool, last: u64) -> Option<(u32, u64)> {
        for (place, (timeline, first)) in self.0.iter().enumerate() {
            // The file in which the next timeline begins is that one's.
            let until = self.0.get(place + 1).map_or(last, |(_, next)| next.saturating_sub(1));
            let missing = (*first..=until)
                .find(|number| !(there(*timeline, *number) || place == 0 && *number <= whole));
            if let Some(number) = missing {
                return Some((*timeline, number));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SegmentSize;

    fn extent(timeline: u32, from: &str, to: &str) -> Extent {
        let segment_size = SegmentSize::try_from(16 << 20).unwrap();
        Extent { server: 15, timeline, from: from.parse().unwrap(), to: to.parse().unwrap(), segment_size }
    }

    fn history() -> History {
        History::read("1\t0/5000060\tbefore 2026-11-23 10:00:00+00\n\n# a note\n2\t0/9000000\tno recovery target specified\n")
            .unwrap()
    }

    #[test]
    fn a_backup_leads_to_what_began_after_it_and_to_nothing_that_began_before() {
        let way = |timeline, from: &str, to: &str, goal| {
            Way::of(&extent(timeline, from, to), goal, Some(&history()))
        };
        assert_eq!(way(1, "0/2000028", "0/2000138", 3), Some(Way(vec![(1, 2), (2, 5), (3, 9)])));
        assert_eq!(way(2, "0/6000028", "0/6000138", 3), Some(Way(vec![(2, 6), (3, 9)])));
        // It was made after the other timeline had left this one.
        assert_eq!(way(1, "0/7000028", "0/7000138", 3), None);
        assert_eq!(way(1, "0/7000028", "0/7000138", 1), Some(Way(vec![(1, 7)])));
        assert_eq!(way(4, "0/7000028", "0/7000138", 3), None);
    }

    #[test]
    fn what_is_missing_on_the_way_is_found_in_the_timeline_where_it_is_needed() {
        let way = Way::of(&extent(1, "0/2000028", "0/2000138"), 3, Some(&history())).unwrap();
        let needed = [(1, 3), (1, 4), (2, 5), (2, 6), (2, 7), (2, 8), (3, 9), (3, 10)];
        assert_eq!(way.gap(2, &|timeline, number| needed.contains(&(timeline, number)), 10), None);
        for missing in needed {
            let there =
                |timeline, number| (timeline, number) != missing && needed.contains(&(timeline, number));
            assert_eq!(way.gap(2, &there, 10), Some(missing));
        }
    }

    #[test]
    fn what_is_no_history_is_refused() {
        for wrong in ["x", "1", "1\tnowhere", "1 0/zz"] {
            assert!(History::read(wrong).is_err(), "{wrong}");
        }
    }
}
