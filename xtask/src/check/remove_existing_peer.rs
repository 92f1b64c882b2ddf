//! Node 3 removed: gone from the lists and stays gone; an increment reaches node 2 but not node 3.
//! Registered again: back, and all counts equal.

use super::{Afterwards, Check};
use super::{await_complete_lists, await_counts, await_equal_counts, await_forgotten, seconds};
use crate::failure::Failure;
use crate::nodes::show_peers;
use crate::stage::Stage;
use crate::{say, wait};

pub(super) const CHECK: Check = Check {
    title: "remove-existing-peer: a removed node stays away until it is registered again",
    look,
};

fn look(stage: &dyn Stage) -> Result<(), Failure> {
    let (nodes, times) = (stage.nodes(), stage.times());
    let (node1, node3, others) = (nodes.node(1)?, nodes.node(3)?, nodes.without(3));
    await_equal_counts(&nodes, times)?;
    let address = node3.address()?;
    let before = node1.count()?.value.count;
    say::step(format_args!("the count is {before}; node3 is {address}"));

    // Whatever happens, node 3 is a member again afterwards.
    let registration = Afterwards::new(|| drop(node1.register(&address)));
    node1.remove_peer(&address)?;
    say::step("removed on node1");
    await_forgotten(&others, &address, times)?;

    node1.increment()?;
    say::step("incremented on node1");
    await_counts(&others, before + 1, times)?;

    let keeps_count = || node3.count().is_ok_and(|found| found.value.count == before);
    let stays_away = || others.none_list(&address) && keeps_count();
    let looks = wait::throughout(times.away, stays_away, || {
        format!(
            "expected node3 to stay off the lists and at {before}; found {}, node1 knows {}",
            nodes.show_counts(),
            show_peers(node1)
        )
    })?;
    let watched = seconds(times.away);
    say::step(format_args!(
        "in each of {looks} looks during {watched}: node3 on no list, node3 {before}"
    ));

    registration.omit();
    node1.register(&address)?;
    say::step("registered again on node1");
    let took = wait::within(
        times.join,
        || others.all_list(&address),
        || {
            let (limit, known) = (seconds(times.join), show_peers(node1));
            format!("expected {address} to be listed again within {limit}; node1 knows {known}")
        },
    )?;
    let took = took.as_millis();
    say::step(format_args!("{address} is listed by {others}, after {took} ms"));
    await_complete_lists(&nodes, times.join)?;
    await_counts(&nodes, before + 1, times)
}
