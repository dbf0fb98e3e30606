//! A tenant sees its own rows, whatever goes wrong: in a statement, in the code around it, on the way to the server.

mod answers;
mod encryption;
mod faults;
mod gate;
mod lists;
mod matrix;
mod mutation;
mod pgtap;
mod psql;
mod replica;
pub(crate) mod rows;
mod scan;
mod sessions;
mod storm;
mod things;
mod webhooks;
