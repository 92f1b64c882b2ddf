//! What operators are told of members that are away. Their removal takes a minute at least, and is held
//! by traces in virtual time.

use serde_json::{Value, json};

use crate::support::cluster::{
    AGREEING_TIME_MAX, LEAVING_TIME_MAX, MEETING_TIME_MAX, Meeting, wait_until_counted,
    wait_until_met,
};
use crate::support::data::DataDirectory;
use crate::support::wait::wait_until;

#[test]
fn who_is_away_is_told_with_what_becomes_of_it() {
    let meeting = Meeting::by_broadcast();
    let data = [(); 3].map(|()| DataDirectory::empty());
    let start = |place: usize, more: &[&str]| meeting.start(&[&data[place].flags(), more].concat());
    let minute = ["--remove-absent-after", "1m"];
    let (asked, unasked) = (start(0, &minute), start(1, &[]));
    let mut dying = start(2, &minute);
    wait_until_met(&[&asked, &unasked, &dying], MEETING_TIME_MAX);
    // Who counts it has a link to it.
    dying.post("/increment", "");
    wait_until_counted(&[&asked, &unasked], 1, AGREEING_TIME_MAX);
    let id = dying.id();
    dying.kill();

    for (node, phase, after) in
        [(&asked, "watched", json!(60_000)), (&unasked, "kept", Value::Null)]
    {
        let absent = || node.get("/status").json()["absent"][0].clone();
        let is_told = |told: &Value| told.is_object();
        let told = wait_until("a member is away", LEAVING_TIME_MAX, absent, is_told);
        assert_eq!(told["address"], json!(id), "{told}");
        assert_eq!(told["phase"], json!(phase), "{told}");
        assert_eq!(told["removed_after_ms"], after, "{told}");
        assert_eq!(told["in_memory"], json!(false), "{told}");
        let shown = format!("quipu_absent_members{{phase=\"{phase}\"}} 1\n");
        let metrics = node.get("/metrics").body;
        assert!(metrics.contains(&shown), "{metrics}");
    }
    let _again = start(2, &minute);
    for node in [&asked, &unasked] {
        let absent = || node.get("/status").json()["absent"].clone();
        wait_until("no member is away", MEETING_TIME_MAX, absent, |told| *told == json!([]));
    }
}
