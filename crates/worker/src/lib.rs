//! Doing the work that the store holds: claiming, working, settling, and looking after the whole.

pub mod deliver;
pub mod doorbell;
pub mod notary;
pub mod orchestrator;
pub mod pool;

mod engines;
mod figures;
mod held;
mod packets;
mod presence;
mod pulse;
mod reports;
mod settler;
mod stages;

pub use self::{
    engines::Checks,
    figures::{OrchestratorFigures, PoolFigures},
    pool::{Pool, PoolOptions},
    reports::FORMATS as REPORT_FORMATS,
    stages::Stages,
};
