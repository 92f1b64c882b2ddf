//! `EVAL script numkeys [key …] [arg …]`, `EVALSHA` by the script's SHA-1, and `EVAL_RO`, `EVALSHA_RO`
//! of what only reads: see [`script`](crate::redis::script).

use bytes::Bytes;

use crate::redis::errors;
use crate::redis::question::{Eval, Named, Question, Scripts};
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("eval", Class::Script, -3, run_body, "Runs a script on counters").after_start();

pub(in crate::redis) const EVAL_RO: Spec =
    Spec::new("eval_ro", Class::Script, -3, run_body, "Runs a script that only reads counters")
        .after_start();

pub(in crate::redis) const EVALSHA: Spec =
    Spec::new("evalsha", Class::Script, -3, run_sha, "Runs a script by its SHA-1").after_start();

pub(in crate::redis) const EVALSHA_RO: Spec = Spec::new(
    "evalsha_ro",
    Class::Script,
    -3,
    run_sha,
    "Runs a script that only reads by its SHA-1",
)
.after_start();

fn run_body(call: &mut Call<'_>) -> Next {
    let body = Bytes::copy_from_slice(call.command.argument(1));
    run(call, Named::Body(body))
}

fn run_sha(call: &mut Call<'_>) -> Next {
    let name = Bytes::copy_from_slice(call.command.argument(1));
    run(call, Named::Sha(name))
}

fn run(call: &mut Call<'_>, script: Named) -> Next {
    let Some(keys) = call.command.integer(2) else {
        return call.fail(errors::NOT_AN_INTEGER);
    };
    let most = call.command.len() - 3;
    let keys = match usize::try_from(keys) {
        Ok(keys) if keys <= most => keys,
        Ok(_) => return call.fail("ERR Number of keys can't be greater than number of args"),
        Err(_) => return call.fail("ERR Number of keys can't be negative"),
    };
    let mut keys_and_arguments: Vec<Bytes> =
        call.command.arguments(3).map(Bytes::copy_from_slice).collect();
    let arguments = keys_and_arguments.split_off(keys);
    let only_reads = call.spec.name.ends_with("_ro");
    let eval = Eval { script, keys: keys_and_arguments, arguments, only_reads };
    Next::Ask(Question::Scripts(Scripts::Eval(eval), call.served))
}
