//! The options of `rampart finding`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use model::{Fingerprint, ScanId, Severity, finding::Life, list::FindingCursor};

use super::{CommentArguments, CommentListArguments};
use crate::cli::values::{between, duration};

#[derive(Debug, Args)]
pub(crate) struct FindingListArguments {
    /// Only those that this scan saw
    #[arg(long, value_name = "SCAN")]
    pub(crate) scan: Option<ScanId>,

    /// Only as severe as this, or more
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) severity: Option<Severity>,

    /// Only those that stand so: open, reopened, triaged, accepted, false-positive, fixed
    #[arg(long = "state", value_name = "STATES", value_delimiter = ',', value_parser = Life::WORDS)]
    pub(crate) states: Vec<String>,

    /// Only of this check
    #[arg(long, value_name = "ID")]
    pub(crate) check: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = between::<usize, 1, 100_000>)]
    pub(crate) limit: usize,

    /// Go on behind this place, as an earlier list said it, or behind the finding with this fingerprint
    #[arg(long, value_name = "PLACE")]
    pub(crate) after: Option<FindingCursor>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a finding can be said to be; how long it is accepted is another option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verdict {
    Triaged,
    Accepted,
    FalsePositive,
    Withdrawn,
}

#[derive(Debug, Args)]
pub(crate) struct FindingDecideArguments {
    /// Which
    #[arg(value_name = "FINGERPRINT", required = true)]
    pub(crate) fingerprints: Vec<Fingerprint>,

    /// triaged (somebody takes care of it), accepted (it may stay, --for so long), false-positive (it is not true), or withdrawn
    /// (what was said before is taken back)
    #[arg(long, value_name = "VERDICT", hide_possible_values = true)]
    pub(crate) verdict: Verdict,

    /// How long it is accepted, such as 90d; from then on it is open again
    #[arg(long = "for", value_name = "TIME", value_parser = duration, required_if_eq("verdict", "accepted"))]
    pub(crate) accepted_for: Option<Duration>,

    /// Why; it is written down
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: String,

    /// The person who decides, when it is not the user of this machine; it is written down. A server writes down whose key it is
    #[arg(long, value_name = "PERSON", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) by: Option<String>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FindingCommand {
    /// List findings, the most severe first
    List(FindingListArguments),
    /// Show everything about a finding: where it stands and since when, what was sent and what came back
    Show {
        /// Which
        #[arg(value_name = "FINGERPRINT")]
        fingerprint: Fingerprint,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what you make of findings; it holds for every scan that sees them again
    Decide(FindingDecideArguments),
    /// Say something about a finding to others who work with it
    Comment {
        /// Which
        #[arg(value_name = "FINGERPRINT")]
        fingerprint: Fingerprint,
        #[command(flatten)]
        comment: CommentArguments,
    },
    /// List what was said about a finding, the oldest first
    Comments {
        /// Which
        #[arg(value_name = "FINGERPRINT")]
        fingerprint: Fingerprint,
        #[command(flatten)]
        list: CommentListArguments,
    },
}
