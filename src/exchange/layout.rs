//! How a list of fixed-layout structs becomes one [`Record`](crate::record::Record): the struct's
//! bytes are the payload, the row's number is the kind.

// `docs/FORMATS.md` promises little-endian bytes, and these are the machine's own.
const _: () = assert!(cfg!(target_endian = "little"));

/// Makes the enum, its `From`s and its `Record`.
macro_rules! layouts {
    (
        $(#[$doc:meta])*
        pub enum $name:ident: $text:literal, version $version:literal {
            $($kind:literal => $variant:ident,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("Kind ", stringify!($kind), ".")] $variant($variant),)+
        }

        $(impl From<$variant> for $name {
            #[inline]
            fn from(value: $variant) -> Self {
                Self::$variant(value)
            }
        })+

        $(const _: () = assert!($kind < crate::record::KIND_LIMIT);)+

        impl crate::record::Record for $name {
            const NAME: &'static str = $text;
            const VERSION: u16 = $version;
            const BYTES_MAX: usize = {
                let mut max = 0;
                $(if size_of::<$variant>() > max {
                    max = size_of::<$variant>();
                })+
                max
            };

            #[inline(always)]
            fn kind(&self) -> u16 {
                match self {
                    $(Self::$variant(_) => $kind,)+
                }
            }

            #[inline(always)]
            fn encode(&self, into: &mut [u8]) -> usize {
                match self {
                    $(Self::$variant(value) => {
                        let bytes = zerocopy::IntoBytes::as_bytes(value);
                        into[..bytes.len()].copy_from_slice(bytes);
                        bytes.len()
                    })+
                }
            }

            #[inline]
            fn read(kind: u16, bytes: &[u8]) -> Option<Self> {
                match kind {
                    $($kind => zerocopy::TryFromBytes::try_read_from_bytes(bytes)
                        .ok()
                        .map(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

pub(super) use layouts;
