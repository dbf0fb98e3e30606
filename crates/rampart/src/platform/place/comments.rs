//! What is said about findings and scans, wherever they are.

use anyhow::Context;
use client::CommentQuery;
use model::{
    Author, Topic,
    comment::{CommentRecord, NewComment},
};

use super::{Place, on_behalf_of, pages, refuse_person};

impl Place {
    /// What was said about something from after a number on, the oldest first.
    pub(in crate::platform) async fn comments(
        &self,
        on: Topic,
        after: u64,
        at_most: usize,
    ) -> anyhow::Result<Vec<CommentRecord>> {
        match self {
            Place::Here(desk) => {
                let (tenant, mut found, mut after) = (desk.tenant().await?, Vec::new(), after);
                // A page may have fewer than were asked for; behind the last there is an empty one.
                while found.len() < at_most {
                    let page = desk.store.comments(tenant, on, after, at_most - found.len()).await?;
                    let Some(last) = page.last() else { break };
                    after = last.number;
                    found.extend(page);
                }
                Ok(found)
            }
            Place::There(client) => {
                let ask = async |limit, after| {
                    client.comments(on, CommentQuery { limit: Some(limit), after }).await
                };
                pages(at_most, Some(after), ask).await
            }
        }
    }

    /// Says something about a finding or a scan.
    pub(in crate::platform) async fn add_comment(
        &self,
        on: Topic,
        new: NewComment,
        by: Option<&str>,
    ) -> anyhow::Result<CommentRecord> {
        let said = match self {
            Place::Here(desk) => {
                let (tenant, name) = (desk.tenant().await?, on_behalf_of(by));
                let author = Author::Operator { name: name.clone() };
                desk.store.add_comment(tenant, on, new, author, name).await.map_err(anyhow::Error::from)
            }
            Place::There(client) => {
                refuse_person(by)?;
                client.add_comment(on, &new).await.map(|said| said.document).map_err(Into::into)
            }
        };
        said.context("nothing is said")
    }
}
