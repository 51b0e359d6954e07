//! Whole clusters of memberships in virtual time, on a network that a seed makes bad.

mod conflicts;
mod convergence;
mod encoding;
mod failure;
mod ghosts;
mod partition;
mod rules;
mod simulator;
