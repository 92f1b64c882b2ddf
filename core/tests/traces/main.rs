//! The traces of the protocol's rules, each as a story that a stranger can read.
//!
//! Every rule of the protocol stands because of a sequence of events that breaks the promises
//! without it. Here those sequences are played: on bare tables where two or three values show the
//! thing, else on small clusters of real nodes in virtual time ([`cluster`]), whose network and
//! disks do what the test says and nothing else. No chance, no sleeping, no ports.
//!
//! Random faults over random schedules are the simulator's part; a trace that it finds and that
//! teaches something new belongs here.

mod absences;
mod age;
mod asking;
mod bounds;
mod catching_up;
mod clocks;
mod cluster;
mod copies;
mod deltas;
mod endings;
mod handshake;
mod links;
mod membership;
mod network;
mod outgoing;
mod pushing;
mod raising;
mod records;
mod removal;
mod repair;
mod room;
mod secrets;
mod seeds;
mod settling;
mod strangers;
mod totals;
mod waiting;
mod watch;
