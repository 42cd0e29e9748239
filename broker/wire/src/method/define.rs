//! Generates [`Method`](super::Method) and its codec from the method table.

/// Expands the method table; its grammar is described at the table.
macro_rules! methods {
    ($(class $class:literal {$(
        $id:literal $variant:ident $name:literal
            $([$($lead:ty),*])? $({$($field:ident: $ty:ty),* $(,)?} $([$($trail:ty),*])?)?;
    )*})*) => {
        /// A method with its arguments, borrowed from the frame that carried it.
        ///
        /// Variants are named `ClassMethod`, fields as in the specification (`type` is `kind`), in wire
        /// order.
        #[derive(Clone, Copy, PartialEq, Debug)]
        pub enum Method<'a> {
            $($(
                #[doc = concat!("`", $name, "` (class ", $class, ", method ", $id, ").")]
                $variant $({$(
                    #[doc = concat!("The argument `", stringify!($field), "` of `", $name, "`.")]
                    $field: $ty,
                )*})?,
            )*)*
        }

        impl<'a> Method<'a> {
            /// Every method: class id, method id, name.
            pub const ALL: &'static [(u16, u16, &'static str)] = &[$($(($class, $id, $name),)*)*];

            /// The class id.
            #[inline]
            pub const fn class_id(&self) -> u16 {
                match self { $($(Self::$variant { .. } => $class,)*)* }
            }

            /// The method id within its class.
            #[inline]
            pub const fn method_id(&self) -> u16 {
                match self { $($(Self::$variant { .. } => $id,)*)* }
            }

            /// The name as in the specification, for example `basic.publish`.
            #[inline]
            pub const fn name(&self) -> &'static str {
                match self { $($(Self::$variant { .. } => $name,)*)* }
            }

            /// Decodes the payload of a method frame. Octets after the last argument are ignored, as
            /// RabbitMQ does.
            ///
            /// # Errors
            /// An unknown method, or an argument that is cut short, not UTF-8 or not a valid table.
            pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
                let mut reader = Reader::new(payload);
                let (class_id, method_id) = (reader.u16()?, reader.u16()?);
                match (class_id, method_id) {
                    $($(($class, $id) => {
                        $($(<$lead as Argument<'a>>::read(&mut reader)?;)*)?
                        Ok(Self::$variant $({$($field: Argument::read(&mut reader)?,)*})?)
                    })*)*
                    _ => Err(WireError::UnknownMethod { class_id, method_id }),
                }
            }

            /// Appends the whole frame: header, class and method id, arguments, frame end.
            pub fn encode(&self, channel: u16, out: &mut Vec<u8>) {
                encode_frame_with(out, FrameKind::Method, channel, |out| {
                    let mut writer = Writer::new(out);
                    self.class_id().write(&mut writer);
                    self.method_id().write(&mut writer);
                    match *self { $($(
                        Self::$variant $({$($field),*})? => {
                            $($(<$lead as Default>::default().write(&mut writer);)*)?
                            $(
                                $($field.write(&mut writer);)*
                                $($(<$trail as Default>::default().write(&mut writer);)*)?
                            )?
                        }
                    )*)* }
                });
            }
        }

        /// Writes the arguments of a method with values from `source`, as the table says: reserved ones zero
        /// or empty.
        #[cfg(test)]
        #[expect(clippy::extra_unused_lifetimes, reason = "the argument types of the table name it")]
        fn generate_arguments<'a>(
            class_id: u16,
            method_id: u16,
            source: &mut tests::Source,
            writer: &mut Writer<'_>,
        ) {
            use tests::Generate;
            match (class_id, method_id) {
                $($(($class, $id) => {
                    $($(<$lead as Default>::default().write(writer);)*)?
                    $(
                        $(<$ty as Generate>::generate(source, writer);)*
                        $($(<$trail as Default>::default().write(writer);)*)?
                    )?
                })*)*
                _ => unreachable!("only methods of the table are generated"),
            }
        }
    };
}
