//! How much memory a model may still take.

use std::path::Path;

/// Bytes of memory that programs can still have without pushing others out, as far as the system tells: on Linux what the
/// kernel calls available, and no more than what is left of the limit of a container. `None` elsewhere.
pub fn free_memory() -> Option<u64> {
    let available = available(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(left_of_limit(Path::new("/sys/fs/cgroup")).map_or(available, |left| left.min(available)))
}

/// `MemAvailable` of the kernel's table.
fn available(table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What is left of the limit of a control group, where it has one. Files kept in memory do not count as taken.
fn left_of_limit(group: &Path) -> Option<u64> {
    let number = |name: &str| std::fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let files = std::fs::read_to_string(group.join("memory.stat")).ok().and_then(|stat| {
        stat.lines().find_map(|l| l.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok())
    });
    let taken = number("memory.current")?.saturating_sub(files.unwrap_or(0));
    Some(number("memory.max")?.saturating_sub(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_and_the_limit_of_a_container_are_read() {
        let table = "MemTotal:       24689032 kB\nMemFree:         1000 kB\nMemAvailable:   21037664 kB\n";
        assert_eq!(available(table), Some(21_037_664 * 1024));
        assert_eq!(available("MemTotal: 1 kB"), None);
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(group.path().join(name), text).unwrap();
        write("memory.current", "700\n");
        write("memory.max", "max\n");
        assert_eq!(left_of_limit(group.path()), None, "no limit");
        write("memory.max", "1000\n");
        assert_eq!(left_of_limit(group.path()), Some(300));
        write("memory.stat", "anon 5\ninactive_file 200\n");
        assert_eq!(left_of_limit(group.path()), Some(500));
        if cfg!(target_os = "linux") {
            assert!(free_memory().unwrap() > 1 << 20);
        }
    }
}
