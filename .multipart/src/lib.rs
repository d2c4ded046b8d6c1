//! What rouille names of the crate `multipart`, and nothing that works: a form with files in it has
//! no fields here. doorward refuses such forms before anybody could ask.

/// The names that rouille imports.
pub mod server {
    use std::io;
    use std::marker::PhantomData;

    /// A form that is never read.
    pub struct Multipart<B>(PhantomData<B>);

    /// A field of a form. There is none.
    pub struct MultipartField<M>(PhantomData<M>);

    /// The content of a field. There is none.
    pub struct MultipartData<M>(PhantomData<M>);

    impl<B> Multipart<B> {
        /// Leaves the body unread.
        pub fn with_body(_: B, _: String) -> Self {
            Multipart(PhantomData)
        }

        /// Says that no field is left.
        ///
        /// # Errors
        /// Never.
        pub fn read_entry(&mut self) -> io::Result<Option<MultipartField<&mut Self>>> {
            Ok(None)
        }
    }
}
