//! The options of what is said about findings and scans.

use clap::Args;
use model::{CommentId, ScanId};

use crate::cli::values::between;

#[derive(Debug, Args)]
pub(crate) struct CommentArguments {
    /// What: plain text or Markdown, up to 10,000 characters; `-` reads it from standard input. `@name` mentions somebody of the tenant
    #[arg(value_name = "TEXT")]
    pub(crate) text: String,

    /// The comment that it answers
    #[arg(long, value_name = "COMMENT")]
    pub(crate) answer: Option<CommentId>,

    /// The person who says it, when it is not the user of this machine; it is written down. A server writes down whose key it is
    #[arg(long, value_name = "PERSON", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) by: Option<String>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CommentListArguments {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = between::<usize, 1, 100_000>)]
    pub(crate) limit: usize,

    /// Go on after the one with this number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) after: Option<u64>,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScanCommentArguments {
    /// Which
    pub(crate) id: ScanId,

    #[command(flatten)]
    pub(crate) comment: CommentArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ScanCommentListArguments {
    /// Which
    pub(crate) id: ScanId,

    #[command(flatten)]
    pub(crate) list: CommentListArguments,
}
