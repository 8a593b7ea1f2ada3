//! One kind of object in one namespace: requests, and of their answers the parts that are read.

use super::{Listed, convert::version, wire::Page};
use jiff::fmt::rfc2822;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Client, Error, Resource,
    api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams},
    client::Body,
    core::{Request, request},
};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

/// The objects of one kind.
pub(super) struct Objects {
    client: Client,
    namespace: String,
    request: Request,
}

type Built = Result<http::Request<Vec<u8>>, request::Error>;

/// How many objects one answer holds at most. A pod is 6 to 8 kB, and an answer is held in memory as a whole.
const PAGE: u32 = 100;

impl Objects {
    /// Those of kind `K`.
    pub(super) fn of<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(
        client: &Client,
        namespace: &str,
    ) -> Self {
        let request = Request::new(K::url_path(&(), Some(namespace)));
        Self { client: client.clone(), namespace: namespace.to_owned(), request }
    }

    /// Those of another kind, in the same namespace.
    pub(super) fn of_the_same<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Self {
        Self::of::<K>(&self.client, &self.namespace)
    }

    /// All that `parameters` select, in one answer where it may come from a cache (which knows no pages), else page by page:
    /// pages are of one version.
    pub(super) async fn list<T: DeserializeOwned, S>(
        &self,
        parameters: ListParams,
        build: fn(&Request, &ListParams) -> Built,
        convert: fn(T) -> S,
    ) -> Result<Listed<S>, Error> {
        let mut parameters = parameters;
        if parameters.resource_version.is_none() {
            parameters.limit = Some(PAGE);
        }
        let mut items = Vec::new();
        loop {
            let (page, next) = self.page(&parameters, build, convert).await?;
            items.extend(page.items);
            match next {
                Some(token) => parameters.continue_token = Some(token),
                None => return Ok(Listed { items, version: page.version }),
            }
        }
    }

    /// The page that `parameters` name, and how the next one is asked for.
    pub(super) async fn page<T: DeserializeOwned, S>(
        &self,
        parameters: &ListParams,
        build: fn(&Request, &ListParams) -> Built,
        convert: fn(T) -> S,
    ) -> Result<(Listed<S>, Option<String>), Error> {
        let page: Page<T> = self.ask(build(&self.request, parameters)).await?;
        let items = page.items.into_iter().flatten().map(convert).collect();
        let version = version(page.metadata.resource_version.as_deref());
        Ok((Listed { items, version }, page.metadata.r#continue.filter(|token| !token.is_empty())))
    }

    /// The server's own time: the `Date` of an answer (RFC 9110, 6.6.1), here of the smallest list that `parameters` allow.
    pub(super) async fn date(&self, parameters: ListParams) -> Result<Option<jiff::Timestamp>, Error> {
        let request = self.request.list_metadata(&parameters.limit(1)).map_err(Error::BuildRequest)?;
        let answer = self.client.send(request.map(Body::from)).await?;
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp()))
    }

    /// One object, if it is there.
    pub(super) async fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        found(self.ask(self.request.get(name, &GetParams::default())).await)
    }

    /// One object's metadata, if it is there.
    pub(super) async fn get_metadata<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        found(self.ask(self.request.get_metadata(name, &GetParams::default())).await)
    }

    /// Creates an object.
    pub(super) async fn create<T: DeserializeOwned>(&self, object: &impl Serialize) -> Result<T, Error> {
        let body = serde_json::to_vec(object).map_err(Error::SerdeError)?;
        self.ask(self.request.create(&PostParams::default(), body)).await
    }

    /// Merges `patch` into an object.
    pub(super) async fn patch<T: DeserializeOwned>(&self, name: &str, patch: &serde_json::Value) -> Result<T, Error> {
        self.ask(self.request.patch(name, &PatchParams::default(), &Patch::Merge(patch))).await
    }

    /// The same, answered with the metadata only.
    pub(super) async fn patch_metadata<T: DeserializeOwned>(
        &self,
        name: &str,
        patch: &serde_json::Value,
    ) -> Result<T, Error> {
        self.ask(self.request.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch))).await
    }

    /// Deletes an object.
    pub(super) async fn delete(&self, name: &str, parameters: &DeleteParams) -> Result<(), Error> {
        self.ask::<IgnoredAny>(self.request.delete(name, parameters)).await.map(|_| ())
    }

    /// Deletes all that `selector` selects. The answer shows all that was deleted, which nobody reads.
    pub(super) async fn delete_collection(&self, selector: &ListParams) -> Result<(), Error> {
        let request = self.request.delete_collection(&DeleteParams::background(), selector);
        self.ask::<IgnoredAny>(request).await.map(|_| ())
    }

    async fn ask<T: DeserializeOwned>(&self, request: Built) -> Result<T, Error> {
        self.client.request(request.map_err(Error::BuildRequest)?).await
    }
}

fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
