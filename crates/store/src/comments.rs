//! What people say to each other about findings and scans: said, said in other words, and taken back.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    Author, By, CommentId, CommentText, Fingerprint, Happening, Permission, TenantId, Topic, UserId,
    UserName,
    comment::{
        CommentEdit, CommentRecord, MOST_EDITS, NewComment,
        mention::{Mention, mentions},
        page_of_text,
    },
};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    audit::Act,
    once::{Made, Once},
    roles,
    scans::KNOWN,
    session::TenantTx,
    value::{Row, Value, places},
};

/// Comments whose mentions are read at once.
const PAGE: usize = 1_000;
/// Comments that are read at once: a page of text is reached before much more than it was read.
const PIECE: usize = 50;

/// What is read of a comment in [`COMMENTS`].
pub(crate) const COMMENT: &str = "comments.comment_id, about.fingerprint, about.scan_id, comments.number, comments.answers, \
     comments.user_id, comments.key_prefix, comments.author, comments.body, comments.written_at, comments.edits, \
     comments.edited_at, comments.deleted_at, comments.deleted_by";
/// So many are those.
pub(crate) const COLUMNS: usize = 14;
/// Comments, and what they are about.
pub(crate) const COMMENTS: &str = "comments JOIN conversations AS about ON about.tenant_id = comments.tenant_id \
     AND about.conversation_id = comments.conversation_id";

/// A condition on `about`: what is said of a scan is forgotten with it.
pub(crate) fn is_there() -> String {
    format!(
        "(about.scan_id IS NULL OR EXISTS (SELECT 1 FROM scans WHERE scans.tenant_id = about.tenant_id \
         AND scans.scan_id = about.scan_id AND {KNOWN}))"
    )
}

/// What a row is about that has these two columns.
pub(crate) fn topic(row: &Row, fingerprint: usize, scan: usize) -> Result<Topic, StoreError> {
    Ok(match row.maybe_text(scan)? {
        Some(_) => Topic::Scan(row.word(scan)?),
        None => Topic::Finding(Fingerprint::from_stored(row.key(fingerprint)?)),
    })
}

/// By which column a conversation is found, and what stands there.
pub(crate) fn column(topic: Topic) -> (&'static str, Value) {
    match topic {
        Topic::Finding(fingerprint) => ("fingerprint", fingerprint.bytes().into()),
        Topic::Scan(scan) => ("scan_id", scan.to_string().into()),
    }
}

fn text(row: &Row, column: usize) -> Result<CommentText, StoreError> {
    row.word(column)
}

fn read(row: &Row, mentions: &mut BTreeMap<Uuid, Vec<UserId>>) -> Result<CommentRecord, StoreError> {
    let id = row.id(0)?;
    let by = match (row.maybe_id(5)?, row.maybe_text(6)?) {
        (Some(id), _) => Author::Person { id: UserId::new(id), name: row.word(7)? },
        (None, Some(_)) => Author::Key { prefix: row.word(6)?, name: row.text(7)?.to_owned() },
        (None, None) => Author::Operator { name: row.text(7)?.to_owned() },
    };
    Ok(CommentRecord {
        id: CommentId::new(id),
        on: topic(row, 1, 2)?,
        number: row.count(3)?,
        answers: row.maybe_id(4)?.map(CommentId::new),
        by,
        text: row.maybe_text(8)?.map(|_| text(row, 8)).transpose()?,
        mentions: mentions.remove(&id).unwrap_or_default(),
        written_at: row.time(9)?,
        edits: row.count(10)?,
        edited_at: row.maybe_time(11)?,
        deleted_at: row.maybe_time(12)?,
        deleted_by: row.maybe_text(13)?.map(str::to_owned),
    })
}

/// For the audit: where it was said, and how much. What was said is told by the comment, as long as it is there.
fn detail(comment: &CommentRecord) -> String {
    let length = comment.text.as_ref().map_or(0, |text| text.as_str().chars().count());
    format!("on {}, {length} characters", comment.on)
}

impl TenantTx<'_> {
    /// What is to be spoken about must be there.
    pub(crate) async fn require_topic(&mut self, topic: Topic) -> Result<(), StoreError> {
        let (kind, sql) = match topic {
            Topic::Finding(_) => {
                let sql = "SELECT 1 FROM findings WHERE tenant_id = $1 AND fingerprint = $2";
                ("finding", sql.to_owned())
            }
            Topic::Scan(_) => {
                ("scan", format!("SELECT 1 FROM scans WHERE tenant_id = $1 AND scan_id = $2 AND {KNOWN}"))
            }
        };
        let name = match topic {
            Topic::Finding(fingerprint) => fingerprint.to_string(),
            Topic::Scan(scan) => scan.to_string(),
        };
        self.one(&sql, &[self.tenant(), column(topic).1], (kind, name)).await.map(drop)
    }

    /// With whom they mention.
    pub(crate) async fn comments_of(&mut self, rows: &[Row]) -> Result<Vec<CommentRecord>, StoreError> {
        let ids = rows.iter().map(|row| row.id(0)).collect::<Result<Vec<_>, _>>()?;
        let mut mentioned: BTreeMap<Uuid, Vec<UserId>> = BTreeMap::new();
        for chunk in ids.chunks(PAGE) {
            let mut values = vec![self.tenant()];
            values.extend(chunk.iter().map(|id| Value::from(*id)));
            let sql = format!(
                "SELECT comment_id, user_id FROM mentions WHERE tenant_id = $1 AND comment_id IN ({}) ORDER BY user_id",
                places(2, chunk.len())
            );
            for row in self.query(&sql, &values).await? {
                mentioned.entry(row.id(0)?).or_default().push(UserId::new(row.id(1)?));
            }
        }
        rows.iter().map(|row| read(row, &mut mentioned)).collect()
    }

    async fn read_comments(
        &mut self,
        topic: Topic,
        after: u64,
        at_most: usize,
    ) -> Result<Vec<CommentRecord>, StoreError> {
        self.require_topic(topic).await?;
        let (name, value) = column(topic);
        let (mut found, mut after) = (Vec::new(), after);
        while found.len() < at_most {
            let piece = PIECE.min(at_most - found.len());
            let sql = format!(
                "SELECT {COMMENT} FROM {COMMENTS} WHERE comments.tenant_id = $1 AND about.tenant_id = $1 AND about.{name} = $2 \
                 AND comments.number > $3 ORDER BY comments.number LIMIT {piece}"
            );
            let rows = self.query(&sql, &[self.tenant(), value.clone(), after.into()]).await?;
            found.extend(self.comments_of(&rows).await?);
            if let Some(page) = page_of_text(found.iter().map(|comment| comment.text.as_ref())) {
                found.truncate(page);
                break;
            }
            match found.last() {
                Some(last) if rows.len() == piece => after = last.number,
                _ => break,
            }
        }
        Ok(found)
    }

    async fn read_comment(&mut self, id: CommentId) -> Result<CommentRecord, StoreError> {
        let sql = format!(
            "SELECT {COMMENT} FROM {COMMENTS} WHERE comments.tenant_id = $1 AND comments.comment_id = $2 AND {}",
            is_there()
        );
        let row = self.one(&sql, &[self.tenant(), id.as_uuid().into()], ("comment", id)).await?;
        let mut found = self.comments_of(&[row]).await?;
        found.pop().ok_or_else(|| StoreError::Missing { kind: "comment", name: id.to_string() })
    }

    /// As it is until this transaction ends, and as somebody has seen it, if they say how.
    async fn hold_comment(
        &mut self,
        id: CommentId,
        seen: Option<CommentRecord>,
    ) -> Result<CommentRecord, StoreError> {
        let lock = self.dialect().for_update();
        let sql = format!("SELECT 1 FROM comments WHERE tenant_id = $1 AND comment_id = $2{lock}");
        self.one(&sql, &[self.tenant(), id.as_uuid().into()], ("comment", id)).await?;
        let comment = self.read_comment(id).await?;
        StoreError::changed_unless(seen.is_none_or(|seen| seen == comment), "comment", id)?;
        Ok(comment)
    }

    /// The conversation about something, with the number of its last comment, which nobody else moves until this transaction ends.
    async fn hold_conversation(&mut self, topic: Topic) -> Result<(Uuid, u64), StoreError> {
        let (name, value) = column(topic);
        let values = [self.tenant(), Uuid::now_v7().into(), value.clone(), self.now.into()];
        let sql = format!(
            "INSERT INTO conversations (tenant_id, conversation_id, {name}, last_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING"
        );
        self.execute(&sql, &values).await?;
        let lock = self.dialect().for_update();
        let sql = format!(
            "SELECT conversation_id, comments FROM conversations WHERE tenant_id = $1 AND {name} = $2{lock}"
        );
        let row = self.one(&sql, &[self.tenant(), value], ("conversation", topic)).await?;
        Ok((row.id(0)?, row.count(1)?))
    }

    /// Who of the tenant is meant by mentions. Whoever may not read it or cannot log in is not mentioned, and neither is who wrote it.
    async fn mentioned(
        &mut self,
        mentions: &[Mention],
        author: &Author,
    ) -> Result<BTreeSet<UserId>, StoreError> {
        let names: BTreeSet<&UserName> = mentions.iter().flat_map(|mention| &mention.names).collect();
        if names.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut values = vec![self.tenant()];
        values.extend(names.iter().map(|name| Value::from(name.as_str())));
        let lock = self.dialect().for_key_share();
        let sql = format!(
            "SELECT name, user_id, role, disabled_at IS NULL AND invited_until IS NULL, (SELECT permissions FROM roles \
             WHERE roles.tenant_id = users.tenant_id AND roles.name = users.role) FROM users \
             WHERE tenant_id = $1 AND name IN ({}) ORDER BY user_id{lock}",
            places(2, names.len())
        );
        let mut people: BTreeMap<UserName, Option<UserId>> = BTreeMap::new();
        for row in self.query(&sql, &values).await? {
            let (id, access) = (UserId::new(row.id(1)?), roles::access(row.word(2)?, row.maybe_text(4)?)?);
            let is_author = matches!(author, Author::Person { id: author, .. } if *author == id);
            let reads = row.bool(3)? && access.may(Permission::CommentsRead);
            people.insert(row.word(0)?, (reads && !is_author).then_some(id));
        }
        // The longest name that somebody has is the one that was meant.
        let meant =
            mentions.iter().filter_map(|mention| mention.names.iter().find_map(|name| people.get(name)));
        Ok(meant.copied().flatten().collect())
    }

    async fn mention(
        &mut self,
        comment: CommentId,
        people: impl Iterator<Item = UserId>,
    ) -> Result<Vec<UserId>, StoreError> {
        let people: Vec<UserId> = people.collect();
        let row = |user: &UserId| {
            vec![self.tenant(), comment.as_uuid().into(), user.as_uuid().into(), self.now.into()]
        };
        let rows: Vec<Vec<Value>> = people.iter().map(row).collect();
        if !rows.is_empty() {
            let head = "INSERT INTO mentions (tenant_id, comment_id, user_id, mentioned_at)";
            self.session.insert(head, &rows, "").await?;
        }
        Ok(people)
    }

    async fn add_comment(
        &mut self,
        on: Topic,
        new: NewComment,
        mentions: &[Mention],
        author: &Author,
        by: &By,
        once: Option<&Once>,
    ) -> Result<Made<CommentRecord>, StoreError> {
        let id = CommentId::new(Uuid::now_v7());
        if let Some((once, before)) = self.made_before(once, &id).await? {
            return once.as_it_is(self.read_comment(before).await);
        }
        self.require_topic(on).await?;
        let (conversation, last) = self.hold_conversation(on).await?;
        let number = last + 1;
        if let Some(answers) = new.answers {
            let sql =
                "SELECT 1 FROM comments WHERE tenant_id = $1 AND conversation_id = $2 AND comment_id = $3";
            let values = [self.tenant(), conversation.into(), answers.as_uuid().into()];
            // What is said about something else is not there for this conversation.
            self.one(sql, &values, ("comment", answers)).await?;
        }
        let (person, key) = match author {
            Author::Person { id, .. } => (Some(id.as_uuid()), None),
            Author::Key { prefix, .. } => (None, Some(prefix.as_str())),
            Author::Operator { .. } => (None, None),
        };
        let values = [
            self.tenant(),
            id.as_uuid().into(),
            conversation.into(),
            number.into(),
            new.answers.map(CommentId::as_uuid).into(),
            person.into(),
            key.into(),
            author.name().into(),
            new.text.as_str().into(),
            self.now.into(),
        ];
        let sql = "INSERT INTO comments (tenant_id, comment_id, conversation_id, number, answers, user_id, key_prefix, author, \
                   body, written_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        self.execute(sql, &values).await?;
        // Whoever waited for the conversation may have begun before who had it: its last word is not taken back in time.
        let sql = "UPDATE conversations SET comments = $3, last_at = CASE WHEN last_at < $4 THEN $4 ELSE last_at END \
                   WHERE tenant_id = $1 AND conversation_id = $2";
        self.execute(sql, &[self.tenant(), conversation.into(), number.into(), self.now.into()]).await?;
        let mentioned = self.mentioned(mentions, author).await?;
        let mentioned = self.mention(id, mentioned.into_iter()).await?;
        let comment = self.read_comment(id).await?;
        self.audit(Act::new(by, "comment.add", id).detail(detail(&comment)));
        self.tell(Happening::CommentAdded { comment: id, on, mentioned });
        Ok(Made::now(comment))
    }

    async fn edit_comment(
        &mut self,
        id: CommentId,
        seen: Option<CommentRecord>,
        text: &CommentText,
        mentions: &[Mention],
        by: &By,
    ) -> Result<CommentRecord, StoreError> {
        let before = self.hold_comment(id, seen).await?;
        let Some(earlier) = &before.text else {
            return Err(StoreError::Deleted { kind: "comment", name: id.to_string() });
        };
        if earlier == text {
            return Ok(before);
        }
        if before.edits >= MOST_EDITS {
            let name = id.to_string();
            return Err(StoreError::ChangedTooOften { kind: "comment", name, most: MOST_EDITS });
        }
        let edits = before.edits + 1;
        let values = [
            self.tenant(),
            id.as_uuid().into(),
            edits.into(),
            earlier.as_str().into(),
            before.edited_at.unwrap_or(before.written_at).into(),
            self.now.into(),
        ];
        let sql = "INSERT INTO comment_edits (tenant_id, comment_id, number, body, written_at, replaced_at) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        self.execute(sql, &values).await?;
        let sql = "UPDATE comments SET body = $3, edits = $4, edited_at = $5 WHERE tenant_id = $1 AND comment_id = $2";
        let values =
            [self.tenant(), id.as_uuid().into(), text.as_str().into(), edits.into(), self.now.into()];
        self.execute(sql, &values).await?;

        let (were, are) = (
            BTreeSet::from_iter(before.mentions.iter().copied()),
            self.mentioned(mentions, &before.by).await?,
        );
        for gone in were.difference(&are) {
            let sql = "DELETE FROM mentions WHERE tenant_id = $1 AND comment_id = $2 AND user_id = $3";
            self.execute(sql, &[self.tenant(), id.as_uuid().into(), gone.as_uuid().into()]).await?;
        }
        let mentioned = self.mention(id, are.difference(&were).copied()).await?;
        let after = self.read_comment(id).await?;
        self.audit(Act::new(by, "comment.edit", id).detail(detail(&after)));
        self.tell(Happening::CommentChanged { comment: id, on: after.on, mentioned });
        Ok(after)
    }

    async fn delete_comment(
        &mut self,
        id: CommentId,
        seen: Option<CommentRecord>,
        by: &By,
    ) -> Result<(), StoreError> {
        let before = self.hold_comment(id, seen).await?;
        if before.text.is_none() {
            return Ok(());
        }
        for table in ["comment_edits", "mentions"] {
            let sql = format!("DELETE FROM {table} WHERE tenant_id = $1 AND comment_id = $2");
            self.execute(&sql, &[self.tenant(), id.as_uuid().into()]).await?;
        }
        let sql = "UPDATE comments SET body = NULL, edits = 0, edited_at = NULL, deleted_at = $3, deleted_by = $4 \
                   WHERE tenant_id = $1 AND comment_id = $2";
        let values = [self.tenant(), id.as_uuid().into(), self.now.into(), by.name.as_str().into()];
        self.execute(sql, &values).await?;
        self.audit(Act::new(by, "comment.delete", id).detail(detail(&before)));
        self.tell(Happening::CommentDeleted { comment: id, on: before.on });
        Ok(())
    }
}

impl Store {
    /// What was said about something from after a number on, in its order; also what was taken back, without its text. Fewer than so
    /// many when they are a [page of text](model::comment::page_of_text).
    pub async fn comments(
        &self,
        tenant: TenantId,
        on: Topic,
        after: u64,
        at_most: usize,
    ) -> Result<Vec<CommentRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move { tx.read_comments(on, after, at_most).await })
        })
        .await
    }

    /// One comment.
    pub async fn comment(&self, tenant: TenantId, id: CommentId) -> Result<CommentRecord, StoreError> {
        self.read_tenant(tenant, move |tx| Box::pin(async move { tx.read_comment(id).await })).await
    }

    /// What a comment said before, from after a number on. Fewer than so many when they are a [page of
    /// text](model::comment::page_of_text).
    pub async fn comment_edits(
        &self,
        tenant: TenantId,
        id: CommentId,
        after: u64,
        at_most: usize,
    ) -> Result<Vec<CommentEdit>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                tx.read_comment(id).await?;
                let sql = format!(
                    "SELECT number, body, written_at, replaced_at FROM comment_edits WHERE tenant_id = $1 AND comment_id = $2 \
                     AND number > $3 ORDER BY number LIMIT {at_most}"
                );
                let rows = tx.query(&sql, &[tx.tenant(), id.as_uuid().into(), after.into()]).await?;
                let read = |row: &Row| {
                    Ok(CommentEdit {
                        number: row.count(0)?,
                        text: text(row, 1)?,
                        written_at: row.time(2)?,
                        replaced_at: row.time(3)?,
                    })
                };
                let mut found = rows.iter().map(read).collect::<Result<Vec<CommentEdit>, StoreError>>()?;
                let page = page_of_text(found.iter().map(|edit| Some(&edit.text)));
                found.truncate(page.unwrap_or(found.len()));
                Ok(found)
            })
        })
        .await
    }

    /// Says something about a finding or a scan.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when that is not there, or the comment that is answered is not about it.
    pub async fn add_comment(
        &self,
        tenant: TenantId,
        on: Topic,
        new: NewComment,
        author: Author,
        by: impl Into<By>,
    ) -> Result<CommentRecord, StoreError> {
        self.add_comment_once(tenant, on, new, author, by, None).await.map(|made| made.record)
    }

    /// The same; under a key the same request of the same asker is the same comment for a day.
    pub async fn add_comment_once(
        &self,
        tenant: TenantId,
        on: Topic,
        new: NewComment,
        author: Author,
        by: impl Into<By>,
        key: Option<String>,
    ) -> Result<Made<CommentRecord>, StoreError> {
        let by = by.into();
        let once = Once::of(key, &by, "comment.add", &(on, &new))?;
        // Before the transaction: others wait for it.
        let mentions = mentions(new.text.as_str());
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move { tx.add_comment(on, new, &mentions, &author, &by, once.as_ref()).await })
        })
        .await
    }

    /// Says it in other words; what was said before is kept. Whether it is theirs to change, whoever calls has found out: who wrote a
    /// comment never changes.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is not any more what somebody has seen, if they say what; [`StoreError::Deleted`] when it was
    /// taken back; [`StoreError::ChangedTooOften`] when it has as many earlier texts as are kept.
    pub async fn edit_comment(
        &self,
        tenant: TenantId,
        id: CommentId,
        seen: Option<CommentRecord>,
        text: CommentText,
        by: impl Into<By>,
    ) -> Result<CommentRecord, StoreError> {
        let by = by.into();
        let mentions = mentions(text.as_str());
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move { tx.edit_comment(id, seen, &text, &mentions, &by).await })
        })
        .await
    }

    /// Takes back what was said: its text, its earlier texts and whom it mentions are gone, and its place stays. Twice is as once.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is not any more what somebody has seen, if they say what.
    pub async fn delete_comment(
        &self,
        tenant: TenantId,
        id: CommentId,
        seen: Option<CommentRecord>,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| Box::pin(async move { tx.delete_comment(id, seen, &by).await }))
            .await
    }
}
