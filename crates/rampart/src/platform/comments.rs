//! `rampart finding comment`, `comments`, and the same of scans.

use std::{collections::BTreeMap, io::Read};

use anyhow::{Context, bail};
use model::{
    CommentId, CommentText, Topic,
    comment::{CommentRecord, CommentTextError, LONGEST_COMMENT, NewComment},
};
use report::terminal;

use super::{place::Place, print_json, put, short_time};
use crate::cli::{CommentArguments, CommentListArguments, say};

/// Says something, and tells by which id that is answered.
pub(super) async fn comment(place: &Place, on: Topic, asked: &CommentArguments) -> anyhow::Result<()> {
    let CommentArguments { text, answer, by, json } = asked;
    let new = NewComment { text: written(text)?, answers: *answer };
    let comment = place.add_comment(on, new, by.as_deref()).await?;
    if *json {
        return print_json(&comment);
    }
    say(&format!("comment {} of {on}: {}\n", comment.number, comment.id));
    Ok(())
}

/// Lists what was said, the oldest first.
pub(super) async fn list(place: &Place, on: Topic, asked: &CommentListArguments) -> anyhow::Result<()> {
    let CommentListArguments { limit, after, json } = asked;
    let comments = place.comments(on, after.unwrap_or_default(), *limit).await?;
    if *json {
        return print_json(&comments);
    }
    let numbers = comments.iter().map(|comment| (comment.id, comment.number)).collect();
    let shown: Vec<String> = comments.iter().map(|comment| shown(comment, &numbers)).collect();
    put(&shown.join("\n"))?;
    if let Some(last) = comments.last().filter(|_| comments.len() == *limit) {
        say(&format!("there may be more: --after {}\n", last.number));
    }
    Ok(())
}

/// The text, or what standard input has for `-`, without the line feed that ends its last line.
fn written(text: &str) -> anyhow::Result<CommentText> {
    if text != "-" {
        return Ok(text.parse()?);
    }
    // As many bytes as the most characters have, the line feed, and one more: what is longer is not read to its end.
    let most = LONGEST_COMMENT * 4 + 2;
    let mut text = Vec::new();
    let describe = || "cannot read the text from standard input";
    std::io::stdin().take(most as u64).read_to_end(&mut text).with_context(describe)?;
    if text.len() == most {
        bail!(CommentTextError::Long);
    }
    let text = String::from_utf8(text).with_context(describe)?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).parse()?)
}

/// For people: who and when, and what below it.
fn shown(comment: &CommentRecord, numbers: &BTreeMap<CommentId, u64>) -> String {
    let CommentRecord { id, number, answers, by, text, written_at, edited_at, deleted_at, .. } = comment;
    let mut head = format!("{number}  {}  {by}  {id}", short_time(*written_at));
    if let Some(answers) = answers {
        let which = numbers.get(answers).map_or_else(|| answers.to_string(), u64::to_string);
        head.push_str(&format!("  answers {which}"));
    }
    if let Some(at) = edited_at {
        head.push_str(&format!("  edited {}", short_time(*at)));
    }
    let said = match (text, deleted_at) {
        (Some(text), _) => text.as_str().to_owned(),
        (None, Some(at)) => format!(
            "(deleted {} by {})",
            short_time(*at),
            comment.deleted_by.as_deref().unwrap_or("somebody")
        ),
        (None, None) => "(deleted)".to_owned(),
    };
    let lines = said.lines().map(|line| {
        let line = line.replace('\t', "    ");
        format!("    {}", terminal::sanitise(&line)).trim_end().to_owned() + "\n"
    });
    format!("{}\n{}", terminal::sanitise(&head), lines.collect::<String>())
}
