//! The functions of object_store's own suite that every store of ours passes; each is given a store of its own.

macro_rules! object_store_functions {
    ($store:expr) => {
        $crate::object_store_functions::object_store_functions! { @each $store;
            get_opts();
            put_opts(true);
            stream_get();
            list_uses_directories_correctly();
            list_with_delimiter();
            rename_and_copy();
            copy_if_not_exists();
            copy_rename_nonexistent_object();
            put_get_attributes();
            multipart_race_condition(true);
            multipart_out_of_order();
            list_with_offset_exclusivity();
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn what_is_not_there_is_not_found() {
            let error = object_store::integration::get_nonexistent_object($store, None).await.unwrap_err();
            assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
        }
    };
    (@each $store:expr; $($name:ident($($argument:expr),*);)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            object_store::integration::$name($store $(, $argument)*).await;
        }
    )*};
}
pub(crate) use object_store_functions;
