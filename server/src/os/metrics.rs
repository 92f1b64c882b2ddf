//! What the process takes of the machine, for `/metrics`.

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::memory::Memory;
use super::process::Usage;
use crate::metrics::signed;

/// What every process tells of itself, under the names that dashboards look for.
pub(crate) fn process(registry: &mut Registry, usage: &Usage) {
    registry.register_with_unit(
        "process_cpu",
        "Processor time, the system's for this process included",
        Unit::Seconds,
        ConstCounter::new((usage.cpu_user + usage.cpu_system).as_secs_f64()),
    );
    for (name, help, bytes) in [
        ("process_resident_memory", "Memory that is really there", usage.resident_bytes),
        ("process_virtual_memory", "Memory that addresses were given for", usage.virtual_bytes),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(signed(bytes)));
    }
    let open = ConstGauge::new(signed(usage.open_files));
    registry.register("process_open_fds", "File descriptors that are open", open);
    if let Some(most) = usage.open_files_max {
        let most = ConstGauge::new(signed(most));
        registry.register("process_max_fds", "File descriptors that may be open", most);
    }
}

/// What new names are measured by; see --max-memory.
pub(crate) fn memory(registry: &mut Registry, memory: &Memory) {
    let full = u64::from(memory.full().is_some());
    registry.register(
        "memory_full",
        "1 while new names are refused for want of memory, else 0",
        ConstGauge::new(full),
    );
    registry.register_with_unit(
        "memory_used",
        "Memory in use that no file holds",
        Unit::Bytes,
        ConstGauge::new(signed(memory.used_bytes())),
    );
    if let Some(most) = memory.bytes_max() {
        registry.register_with_unit(
            "memory_max",
            "Memory beyond which new names are refused",
            Unit::Bytes,
            ConstGauge::new(signed(most)),
        );
    }
}
