//! `rampart user`: people who may log in; and how they are shown, for `rampart admin`, too.

use std::process::ExitCode;

use anyhow::Context;
use client::Invited;
use model::{
    UserName,
    record::{NewUser, UserRecord},
};
use serde::Serialize;

use super::{operate, place::Place, print_json, print_table, put, short_time};
use crate::{
    cli::{UserChangeArguments, UserCommand, say},
    configuration::Whereabouts,
};

pub(super) fn user(whereabouts: &Whereabouts, command: &UserCommand) -> anyhow::Result<ExitCode> {
    operate(whereabouts, async |place| {
        match command {
            UserCommand::List { json } => {
                let users = place.users().await?;
                if *json { print_json(&users)? } else { list(&users)? }
            }
            UserCommand::Invite { name, role, json, .. } => {
                let invited = match role {
                    Some(role) => {
                        place.invite_user(NewUser { name: name.clone(), role: role.clone() }).await?
                    }
                    None => place.invite_user_again(named(&place, name).await?.id).await?,
                };
                show(&invited, *json)?;
            }
            UserCommand::Change(asked) => change(&place, asked).await?,
            UserCommand::Delete { name } => {
                place.delete_user(named(&place, name).await?.id).await?;
                say(&format!("{name} is forgotten; their sessions have ended\n"));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn change(place: &Place, asked: &UserChangeArguments) -> anyhow::Result<()> {
    let UserChangeArguments { name, role, disable, enable } = asked;
    let disabled = (*disable || *enable).then_some(*disable);
    let changed = place.change_user(named(place, name).await?.id, role.clone(), disabled).await?;
    say(&format!("{name}: {}, {}\n", changed.role, standing(&changed)));
    Ok(())
}

async fn named(place: &Place, name: &UserName) -> anyhow::Result<UserRecord> {
    let found = place.users().await?.into_iter().find(|user| user.name == *name);
    found.with_context(|| format!("there is no `{name}`: `rampart user list` shows who there is"))
}

/// Somebody who was let in now.
#[derive(Serialize)]
struct Shown<'s> {
    invitation: &'s str,
    #[serde(flatten)]
    user: &'s UserRecord,
}

/// The only time that it is seen: alone on standard output, so that it can go to whom it is meant for.
pub(super) fn show(invited: &Invited, json: bool) -> anyhow::Result<()> {
    let Invited { invitation, user } = invited;
    if json {
        return print_json(&Shown { invitation: invitation.expose(), user });
    }
    put(&format!("{}\n", invitation.expose()))?;
    let until = user.invited_until.map(short_time).unwrap_or_default();
    say(&format!(
        "{}: {}; the invitation is shown once and good until {until} UTC: with it they choose a password, POST \
         /api/v1/invitations/accept\n",
        user.name, user.role
    ));
    Ok(())
}

fn standing(user: &UserRecord) -> String {
    match (user.disabled_at, user.invited_until, &user.issuer) {
        (Some(since), ..) => format!("disabled since {}", short_time(since)),
        (None, Some(until), _) => format!("invited until {}", short_time(until)),
        (None, None, Some(issuer)) => format!("may log in at {issuer}"),
        (None, None, None) if user.second_factor => "may log in, with a second factor".to_owned(),
        (None, None, None) => "may log in".to_owned(),
    }
}

pub(super) fn list(users: &[UserRecord]) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = users
        .iter()
        .map(|user| {
            let last = user.last_login.map_or("never".to_owned(), short_time);
            vec![user.name.to_string(), user.role.to_string(), last, standing(user)]
        })
        .collect();
    print_table(&["NAME", "ROLE", "LAST LOGIN", "STANDING"], &rows)
}
