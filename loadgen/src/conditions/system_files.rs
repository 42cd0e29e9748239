//! What the kernel tells in `/proc` and `/sys`. Another root stands in for them in tests.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Conditions;

/// A tree with `proc` and `sys`.
#[derive(Debug)]
pub(super) struct SystemFiles {
    root: PathBuf,
}

impl SystemFiles {
    pub(super) fn of_this_machine() -> Self {
        Self { root: "/".into() }
    }

    pub(super) fn conditions_at_start(&self) -> Conditions {
        Conditions {
            scaling_governors: self.scaling_governors(),
            hypervisor: self.hypervisor(),
            transparent_huge_pages: self.transparent_huge_pages(),
            cgroup_cpu_cores_max: self.cgroup_cpu_cores_max(),
            load_average_start: self.load_average(),
            swap_used_bytes_start: self.swap_used_bytes(),
            ..Conditions::default()
        }
    }

    pub(super) fn swap_used_bytes(&self) -> Option<u64> {
        let text = self.read("proc/meminfo")?;
        let kib = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some((kib("SwapTotal:")?.checked_sub(kib("SwapFree:")?)?) * 1024)
    }

    fn read(&self, path: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    fn scaling_governors(&self) -> Option<Vec<String>> {
        let cores = std::fs::read_dir(self.root.join("sys/devices/system/cpu")).ok()?;
        let governors: BTreeSet<String> = cores
            .flatten()
            .filter_map(|core| std::fs::read_to_string(core.path().join("cpufreq/scaling_governor")).ok())
            .map(|governor| governor.trim().to_owned())
            .collect();
        (!governors.is_empty()).then(|| governors.into_iter().collect())
    }

    /// The processor says whether there is one (flag `hypervisor`), the firmware what it is called.
    fn hypervisor(&self) -> Option<String> {
        let cpu = self.read("proc/cpuinfo")?;
        let flags = cpu.lines().find(|line| line.starts_with("flags"))?;
        if !flags.split_whitespace().any(|flag| flag == "hypervisor") {
            return Some("none".into());
        }
        let product = self.read("sys/class/dmi/id/product_name");
        Some(
            product
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "unknown".into()),
        )
    }

    /// The one in brackets: `always [madvise] never`.
    fn transparent_huge_pages(&self) -> Option<String> {
        let modes = self.read("sys/kernel/mm/transparent_hugepage/enabled")?;
        let (_, rest) = modes.split_once('[')?;
        Some(rest.split_once(']')?.0.to_owned())
    }

    fn load_average(&self) -> Option<f64> {
        self.read("proc/loadavg")?.split_whitespace().next()?.parse().ok()
    }

    /// The tightest limit of the control group and all above it; version 2's, else version 1's.
    fn cgroup_cpu_cores_max(&self) -> Option<f64> {
        let groups = self.read("proc/self/cgroup")?;
        let limits = groups.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            if controllers.is_empty() {
                self.tightest("sys/fs/cgroup", path, Self::limit_of_version_2)
            } else if controllers.split(',').any(|controller| controller == "cpu") {
                self.tightest("sys/fs/cgroup/cpu", path, Self::limit_of_version_1)
            } else {
                None
            }
        });
        limits.reduce(f64::min)
    }

    fn tightest(&self, mount: &str, path: &str, limit: fn(&Self, &str) -> Option<f64>) -> Option<f64> {
        let mut directory = format!("{mount}{}", path.trim_end_matches('/'));
        let mut tightest: Option<f64> = None;
        loop {
            if let Some(found) = limit(self, &directory) {
                tightest = Some(tightest.map_or(found, |known| known.min(found)));
            }
            match directory.rsplit_once('/') {
                Some((above, _)) if directory.len() > mount.len() => directory = above.to_owned(),
                _ => return tightest,
            }
        }
    }

    /// `cpu.max`: quota and period in µs; the quota may be `max`.
    fn limit_of_version_2(&self, directory: &str) -> Option<f64> {
        let text = self.read(&format!("{directory}/cpu.max"))?;
        let (quota, period) = text.split_once(' ')?;
        cores(quota, period)
    }

    /// The quota is -1 when there is none.
    fn limit_of_version_1(&self, directory: &str) -> Option<f64> {
        let quota = self.read(&format!("{directory}/cpu.cfs_quota_us"))?;
        let period = self.read(&format!("{directory}/cpu.cfs_period_us"))?;
        cores(&quota, &period)
    }
}

fn cores(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, &str)]) -> (tempfile::TempDir, SystemFiles) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in entries {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = directory.path().to_owned();
        (directory, SystemFiles { root })
    }

    #[test]
    fn everything_is_read_from_where_the_kernel_tells_it() {
        let (_directory, files) = files(&[
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                "powersave\n",
            ),
            (
                "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor",
                "powersave\n",
            ),
            ("sys/devices/system/cpu/online", "0-1\n"),
            ("proc/cpuinfo", "processor : 0\nflags\t\t: fpu hypervisor avx\n"),
            ("sys/class/dmi/id/product_name", "Box 3\n"),
            (
                "sys/kernel/mm/transparent_hugepage/enabled",
                "always [madvise] never\n",
            ),
            ("proc/loadavg", "1.25 0.50 0.10 1/100 99\n"),
            (
                "proc/meminfo",
                "MemTotal: 9 kB\nSwapTotal:     1000 kB\nSwapFree:       900 kB\n",
            ),
            ("proc/self/cgroup", "0::/fleet/lab\n"),
            ("sys/fs/cgroup/fleet/lab/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/fleet/cpu.max", "150000 100000\n"),
        ]);
        let conditions = files.conditions_at_start();
        assert_eq!(
            conditions,
            Conditions {
                scaling_governors: Some(vec!["powersave".into()]),
                hypervisor: Some("Box 3".into()),
                transparent_huge_pages: Some("madvise".into()),
                cgroup_cpu_cores_max: Some(1.5),
                load_average_start: Some(1.25),
                swap_used_bytes_start: Some(102_400),
                ..Conditions::default()
            }
        );
    }

    #[test]
    fn what_is_not_there_is_not_known() {
        let (_directory, nothing) = files(&[]);
        assert_eq!(nothing.conditions_at_start(), Conditions::default());
        let (_directory, bare) = files(&[("proc/cpuinfo", "flags : fpu\n")]);
        assert_eq!(bare.hypervisor().as_deref(), Some("none"));
        let (_directory, nameless) = files(&[("proc/cpuinfo", "flags : hypervisor\n")]);
        assert_eq!(nameless.hypervisor().as_deref(), Some("unknown"));
    }

    #[test]
    fn a_limit_of_version_1_counts_and_none_is_none() {
        let group = ("proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n");
        let period = ("sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
        for (quota, cores) in [("50000\n", Some(0.5)), ("-1\n", None)] {
            let quota = ("sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", quota);
            let (_directory, files) = files(&[group, period, quota]);
            assert_eq!(files.cgroup_cpu_cores_max(), cores);
        }
    }
}
