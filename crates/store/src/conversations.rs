//! Conversations as their readers see them: what is unread, how far they have read, and where they are mentioned.

use crate::{
    Store, StoreError,
    comments::{COLUMNS, COMMENT, COMMENTS, column, is_there, topic},
    session::TenantTx,
    value::{Row, Value},
};
use jiff::Timestamp;
use model::{
    CommentId, ConversationId, TenantId, Topic, UserId,
    comment::{ConversationRecord, MentionRecord, Older, Reading},
};

/// Which conversations somebody means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConversationFilter {
    /// Only those in which something is unread.
    pub unread: bool,
    /// Only older than that one.
    pub before: Option<Older>,
}

/// Which mentions somebody means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MentionFilter {
    /// Only those that are unread.
    pub unread: bool,
    /// Only older than that one.
    pub before: Option<Older>,
}

/// How far the reader `$2` has read in `about`.
const MARK: &str = "LEFT JOIN read_marks AS mark ON mark.tenant_id = $1 AND mark.user_id = $2 \
     AND mark.conversation_id = about.conversation_id";

/// What of `about` the reader `$2` has not read: what others wrote since `$3`, when the reader was let in.
const UNREAD: &str = "FROM comments AS said WHERE said.tenant_id = $1 AND said.conversation_id = about.conversation_id \
     AND said.number > coalesce(mark.number, 0) AND said.deleted_at IS NULL AND said.written_at >= $3 \
     AND (said.user_id IS NULL OR said.user_id <> $2)";

/// A comment that was read may mention somebody only since it was said in other words.
const UNREAD_MENTION: &str =
    "(mark.number IS NULL OR comments.number > mark.number OR mentions.mentioned_at > mark.read_at)";

/// Somebody who reads: `$2` and `$3`.
#[derive(Clone, Copy)]
struct Reader {
    user: UserId,
    let_in: Timestamp,
}

impl TenantTx<'_> {
    async fn reader(&mut self, user: UserId) -> Result<Reader, StoreError> {
        let sql = "SELECT created_at FROM users WHERE tenant_id = $1 AND user_id = $2";
        let row = self.one(sql, &[self.tenant(), user.as_uuid().into()], ("user", user)).await?;
        Ok(Reader { user, let_in: row.time(0)? })
    }

    async fn reading(&mut self, reader: Reader, on: Topic) -> Result<Reading, StoreError> {
        let (name, value) = column(on);
        let sql = format!(
            "SELECT coalesce(mark.number, 0), (SELECT count(*) {UNREAD}) FROM conversations AS about {MARK} \
             WHERE about.tenant_id = $1 AND about.{name} = $4"
        );
        let values = [self.tenant(), reader.user.as_uuid().into(), reader.let_in.into(), value];
        let rows = self.query(&sql, &values).await?;
        let Some(row) = rows.first() else { return Ok(Reading::default()) };
        Ok(Reading { read_up_to: row.count(0)?, unread: row.count(1)? })
    }

    async fn mark_read(&mut self, user: UserId, on: Topic, up_to: CommentId) -> Result<Reading, StoreError> {
        self.require_topic(on).await?;
        let lock = self.dialect().for_key_share();
        let sql = format!("SELECT 1 FROM users WHERE tenant_id = $1 AND user_id = $2{lock}");
        self.one(&sql, &[self.tenant(), user.as_uuid().into()], ("user", user)).await?;
        let (name, value) = column(on);
        let sql = format!(
            "SELECT comments.conversation_id, comments.number FROM {COMMENTS} WHERE comments.tenant_id = $1 \
             AND comments.comment_id = $2 AND about.{name} = $3"
        );
        let values = [self.tenant(), up_to.as_uuid().into(), value];
        let row = self.one(&sql, &values, ("comment", up_to)).await?;
        let values =
            [self.tenant(), user.as_uuid().into(), row.id(0)?.into(), row.count(1)?.into(), self.now.into()];
        // Whoever says it late has read further already.
        let sql = "INSERT INTO read_marks (tenant_id, user_id, conversation_id, number, read_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (tenant_id, user_id, conversation_id) DO UPDATE SET number = excluded.number, \
                   read_at = excluded.read_at WHERE excluded.number >= read_marks.number";
        self.execute(sql, &values).await?;
        let reader = self.reader(user).await?;
        self.reading(reader, on).await
    }

    async fn read_mentions(
        &mut self,
        user: UserId,
        filter: MentionFilter,
        at_most: usize,
    ) -> Result<Vec<MentionRecord>, StoreError> {
        self.reader(user).await?;
        let mut values = vec![self.tenant(), user.as_uuid().into()];
        let mut sql = format!(
            "SELECT {COMMENT}, mentions.mentioned_at, {UNREAD_MENTION} FROM mentions, {COMMENTS} {MARK} \
             WHERE mentions.tenant_id = $1 AND mentions.user_id = $2 AND comments.tenant_id = $1 \
             AND comments.comment_id = mentions.comment_id AND {}",
            is_there()
        );
        if filter.unread {
            sql.push_str(&format!(" AND {UNREAD_MENTION}"));
        }
        if let Some(Older { than, id }) = filter.before {
            sql.push_str(" AND (mentions.mentioned_at, mentions.comment_id) < ($3, $4)");
            values.extend([Value::from(than), id.into()]);
        }
        sql.push_str(&format!(
            " ORDER BY mentions.mentioned_at DESC, mentions.comment_id DESC LIMIT {at_most}"
        ));
        let rows = self.query(&sql, &values).await?;
        let comments = self.comments_of(&rows).await?;
        let of_mention = |row: &Row| Ok((row.time(COLUMNS)?, row.bool(COLUMNS + 1)?));
        let mentions = rows.iter().map(of_mention).collect::<Result<Vec<_>, StoreError>>()?;
        let both = comments.into_iter().zip(mentions);
        Ok(both
            .map(|(comment, (mentioned_at, unread))| MentionRecord { comment, mentioned_at, unread })
            .collect())
    }

    async fn read_conversations(
        &mut self,
        reader: Option<Reader>,
        filter: ConversationFilter,
        at_most: usize,
    ) -> Result<Vec<ConversationRecord>, StoreError> {
        let mut values = vec![self.tenant()];
        let (unread, mark) = match reader {
            Some(Reader { user, let_in }) => {
                values.extend([Value::from(user.as_uuid()), let_in.into()]);
                (format!("(SELECT count(*) {UNREAD})"), MARK)
            }
            None => ("NULL".to_owned(), ""),
        };
        let mut sql = format!(
            "SELECT about.conversation_id, about.fingerprint, about.scan_id, about.comments, about.last_at, \
             CAST({unread} AS bigint) FROM conversations AS about {mark} WHERE about.tenant_id = $1 AND {}",
            is_there()
        );
        if filter.unread && reader.is_some() {
            // The last number first: it needs no look at what was said.
            sql.push_str(&format!(
                " AND about.comments > coalesce(mark.number, 0) AND EXISTS (SELECT 1 {UNREAD})"
            ));
        }
        if let Some(Older { than, id }) = filter.before {
            let (time, conversation) = (values.len() + 1, values.len() + 2);
            sql.push_str(&format!(
                " AND (about.last_at, about.conversation_id) < (${time}, ${conversation})"
            ));
            values.extend([Value::from(than), id.into()]);
        }
        sql.push_str(&format!(" ORDER BY about.last_at DESC, about.conversation_id DESC LIMIT {at_most}"));
        let read = |row: &Row| {
            Ok(ConversationRecord {
                id: ConversationId::new(row.id(0)?),
                on: topic(row, 1, 2)?,
                comments: row.count(3)?,
                last_at: row.time(4)?,
                unread: row.maybe_count(5)?,
            })
        };
        self.query(&sql, &values).await?.iter().map(read).collect()
    }

    /// A part of what was said about a scan that is forgotten. Was it the last?
    pub(crate) async fn clear_comments(&mut self, scan: &Value, at_once: u64) -> Result<bool, StoreError> {
        // The last first: what is answered goes after its answers.
        let sql = format!(
            "DELETE FROM comments WHERE tenant_id = $1 AND comment_id IN (SELECT comments.comment_id FROM {COMMENTS} \
             WHERE comments.tenant_id = $1 AND about.tenant_id = $1 AND about.scan_id = $2 ORDER BY comments.number DESC \
             LIMIT {at_once})"
        );
        Ok(self.execute(&sql, &[self.tenant(), scan.clone()]).await? < at_once)
    }
}

impl Store {
    /// How far somebody has read of what was said about something.
    pub async fn reading(&self, tenant: TenantId, user: UserId, on: Topic) -> Result<Reading, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                tx.require_topic(on).await?;
                let reader = tx.reader(user).await?;
                tx.reading(reader, on).await
            })
        })
        .await
    }

    /// Somebody has read what was said about something, up to that comment. They never have read less than before. It is theirs alone:
    /// nobody is told, and the audit tells nothing of it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the comment is not about it.
    pub async fn mark_read(
        &self,
        tenant: TenantId,
        user: UserId,
        on: Topic,
        up_to: CommentId,
    ) -> Result<Reading, StoreError> {
        self.of_tenant(tenant, move |tx| Box::pin(async move { tx.mark_read(user, on, up_to).await })).await
    }

    /// Where somebody is mentioned, the newest first.
    pub async fn mentions(
        &self,
        tenant: TenantId,
        user: UserId,
        filter: MentionFilter,
        at_most: usize,
    ) -> Result<Vec<MentionRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move { tx.read_mentions(user, filter, at_most).await })
        })
        .await
    }

    /// What is spoken about, where something was said last first; with what a reader has not read of it, if one is named.
    pub async fn conversations(
        &self,
        tenant: TenantId,
        reader: Option<UserId>,
        filter: ConversationFilter,
        at_most: usize,
    ) -> Result<Vec<ConversationRecord>, StoreError> {
        self.read_tenant(tenant, move |tx| {
            Box::pin(async move {
                let reader = match reader {
                    Some(user) => Some(tx.reader(user).await?),
                    None => None,
                };
                tx.read_conversations(reader, filter, at_most).await
            })
        })
        .await
    }
}
