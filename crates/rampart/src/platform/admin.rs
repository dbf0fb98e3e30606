//! `rampart admin`: people who administer a tenant, let in by whoever runs the platform.

use std::{
    io::{IsTerminal, Read},
    process::ExitCode,
};

use anyhow::{Context, bail};
use client::Invited;
use model::{Password, Role, Token, UserName};
use store::{Expected, FirstPassword, NewUser};

use super::{Desk, operate_here, operator, print_json, users};
use crate::{
    cli::{AdminCommand, AdminCreateArguments, say},
    configuration::Configuration,
};

/// Longer input is no password.
const MOST_INPUT: u64 = 8 << 10;

pub(super) fn admin(configuration: &Configuration, command: &AdminCommand) -> anyhow::Result<ExitCode> {
    operate_here(configuration, async |desk| {
        match command {
            AdminCommand::Create(asked) => create(&desk, asked).await?,
            AdminCommand::Password { name } => change_password(&desk, name).await?,
            AdminCommand::List { json } => {
                let all = desk.store.users(desk.tenant().await?).await?;
                if *json { print_json(&all)? } else { users::list(&all)? }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn create(desk: &Desk, asked: &AdminCreateArguments) -> anyhow::Result<()> {
    let tenant = desk.tenant().await?;
    let AdminCreateArguments { name, role, password_stdin, json } = asked;
    let invitation = Token::from_random(rand::random());
    let first = match password_stdin {
        true => FirstPassword::Hashed(hashed(name)?),
        false => FirstPassword::Invited(invitation.clone()),
    };
    let new = NewUser { name: name.clone(), role: role.clone().unwrap_or(Role::Owner) };
    let user = desk.store.create_user(tenant, new, first, operator()).await;
    let user = user.context("`rampart admin list` shows who there is")?;
    match (password_stdin, json) {
        (false, json) => users::show(&Invited { invitation, user }, *json),
        (true, true) => print_json(&user),
        (true, false) => {
            say(&format!("{}: {}, and may log in\n", user.name, user.role));
            Ok(())
        }
    }
}

async fn change_password(desk: &Desk, name: &UserName) -> anyhow::Result<()> {
    let tenant = desk.tenant().await?;
    let users = desk.store.users(tenant).await?;
    let user = users.iter().find(|user| user.name == *name);
    let user = user.with_context(|| {
        format!(
            "there is no `{name}` in tenant {}: `rampart admin list` shows who there is",
            desk.configuration.tenant
        )
    })?;
    desk.store.set_password(tenant, user.id, Expected::Anything, hashed(name)?, operator()).await?;
    say(&format!("{name} logs in with the new password; their sessions have ended\n"));
    Ok(())
}

/// What is kept of the password that comes by standard input.
fn hashed(name: &UserName) -> anyhow::Result<String> {
    let mut input = std::io::stdin().lock();
    if input.is_terminal() {
        bail!("the password would be seen while it is typed: give it by a pipe, or from a file with `<`");
    }
    let mut text = String::new();
    input.by_ref().take(MOST_INPUT).read_to_string(&mut text).context("cannot read the password")?;
    let password = Password::new(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r'));
    password.require_good(name)?;
    gateway::hash_password(&password).context("the password cannot be kept")
}
