//! What devhost measures and Spin does not: fuel, memory, calls and SQL.

mod budgets;
mod cost;
mod queries;
