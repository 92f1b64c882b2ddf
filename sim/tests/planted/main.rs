//! A simulator that finds nothing proves nothing: bugs are planted, and it must find each.

mod absences;
mod bugs;
mod catching;
mod endings;
mod settling;
