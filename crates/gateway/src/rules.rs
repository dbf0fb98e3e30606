//! What can be said anew while a gateway answers.

use ipnet::IpNet;

use crate::{Gateway, IdentityProviders, Rates, Webhooks};

/// How a gateway treats whoever asks.
#[derive(Default)]
pub struct Rules {
    /// How much of it anybody gets.
    pub rates: Rates,
    /// Whose word on where a request comes from is believed.
    pub proxies: Vec<IpNet>,
    /// By whom people may be let in, beside those who have a password here.
    pub identity_providers: IdentityProviders,
    /// The name of the tenant whose people look after all tenants; without it nobody does by this gateway.
    pub platform_tenant: Option<String>,
    /// To whom messages go; to nobody without.
    pub webhooks: Option<Webhooks>,
}

impl Gateway {
    /// To whom messages go now.
    pub fn webhooks(&self) -> Option<Webhooks> {
        self.rules.load().webhooks.clone()
    }

    /// Goes by these from now on. What is being answered goes on, and so do sessions, whoever vouched for them.
    pub fn rule(&self, rules: Rules) {
        let before = self.rules.load();
        if rules.rates != before.rates {
            let limits = self.limits.load().with(rules.rates);
            self.limits.store(limits.into());
        }
        self.rules.store(rules.into());
    }
}
