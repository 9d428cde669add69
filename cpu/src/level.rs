//! Which instructions the processor has.

/// The instructions that kernels are written for, the best that there are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    /// AVX-512 with sums of products of 16 bits in one instruction.
    #[cfg(target_arch = "x86_64")]
    V4Vnni(V4Vnni, pulp::x86::V4),
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    V4(pulp::x86::V4),
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    V3(pulp::x86::V3),
    /// What every processor has.
    Portable,
}

#[cfg(target_arch = "x86_64")]
pulp::simd_type!({
    /// AVX-512 and its extension for networks.
    #[allow(missing_docs)]
    pub(crate) struct V4Vnni {
        pub sse: f!("sse"),
        pub sse2: f!("sse2"),
        pub fxsr: f!("fxsr"),
        pub sse3: f!("sse3"),
        pub ssse3: f!("ssse3"),
        pub sse4_1: f!("sse4.1"),
        pub sse4_2: f!("sse4.2"),
        pub popcnt: f!("popcnt"),
        pub avx: f!("avx"),
        pub avx2: f!("avx2"),
        pub bmi1: f!("bmi1"),
        pub bmi2: f!("bmi2"),
        pub fma: f!("fma"),
        pub lzcnt: f!("lzcnt"),
        pub avx512f: f!("avx512f"),
        pub avx512bw: f!("avx512bw"),
        pub avx512cd: f!("avx512cd"),
        pub avx512dq: f!("avx512dq"),
        pub avx512vl: f!("avx512vl"),
        pub avx512vnni: f!("avx512vnni"),
    }
});

impl Level {
    /// The best that this processor has.
    #[inline]
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(v4) = pulp::x86::V4::try_new() {
                return V4Vnni::try_new().map_or(Self::V4(v4), |vnni| Self::V4Vnni(vnni, v4));
            }
            if let Some(v3) = pulp::x86::V3::try_new() {
                return Self::V3(v3);
            }
        }
        Self::Portable
    }

    /// All that this processor has.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(pulp::x86::V3::try_new().map(Self::V3));
            if let Some(v4) = pulp::x86::V4::try_new() {
                all.push(Self::V4(v4));
                all.extend(V4Vnni::try_new().map(|vnni| Self::V4Vnni(vnni, v4)));
            }
        }
        all
    }
}

/// Runs `$work`, a value with `fn on(self, kernel)`, by the kernel of `$level`.
macro_rules! dispatch {
    ($level:expr, $work:expr) => {
        match $level {
            #[cfg(target_arch = "x86_64")]
            $crate::level::Level::V4Vnni(vnni, v4) => {
                vnni.vectorize($crate::level::With($work, $crate::level::Avx512(v4, vnni)))
            }
            #[cfg(target_arch = "x86_64")]
            $crate::level::Level::V4(v4) => {
                v4.vectorize($crate::level::With($work, $crate::level::Avx512(v4, ())))
            }
            #[cfg(target_arch = "x86_64")]
            $crate::level::Level::V3(v3) => v3.vectorize($crate::level::With($work, v3)),
            $crate::level::Level::Portable => {
                pulp::NullaryFnOnce::call($crate::level::With($work, $crate::level::Portable))
            }
        }
    };
}
pub(crate) use dispatch;

/// The kernel of AVX-512, and what it has beside.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512<S>(pub(crate) pulp::x86::V4, pub(crate) S);

/// The kernel of processors of which nothing is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

/// Work and the instructions that do it.
pub(crate) struct With<W, K>(pub(crate) W, pub(crate) K);

/// Work that a kernel does.
pub(crate) trait Work<K> {
    /// What comes of it.
    type Output;

    /// Does it. To be inlined, so that it is compiled for the kernel's instructions.
    fn on(self, kernel: K) -> Self::Output;
}

impl<K, W: Work<K>> pulp::NullaryFnOnce for With<W, K> {
    type Output = W::Output;

    #[inline(always)]
    fn call(self) -> W::Output {
        self.0.on(self.1)
    }
}

/// The instructions that are used here, in a word.
pub fn name() -> &'static str {
    match Level::best() {
        #[cfg(target_arch = "x86_64")]
        Level::V4Vnni(..) => "AVX-512 with VNNI",
        #[cfg(target_arch = "x86_64")]
        Level::V4(_) => "AVX-512",
        #[cfg(target_arch = "x86_64")]
        Level::V3(_) => "AVX2",
        Level::Portable => "portable",
    }
}
