//! A stand-in for `docker`, for the addresses that moto gives lead to AWS.

/// It has any image; what it pushes, once the file `push` is there, is put into the ECR at `$MOTO`.
pub(crate) const DOCKER: &str = r#"
case "$1 $2" in
"image inspect")
    id=$(printf %s "$6" | sha256sum | cut -d' ' -f1)
    echo '{"Id":"sha256:'"$id"'","Os":"linux","Architecture":"amd64","RepoTags":[]}' ;;
"login --username") read -r password || test -n "$password" ;;
"push "*)
    until [ -e push ]; do sleep 0.05; done
    name=${2#*/} tag=${2#*:} form=application/vnd.docker.distribution.manifest.v2+json
    manifest='{\"schemaVersion\":2,\"mediaType\":\"'$form'\",\"config\":{\"digest\":\"'$tag'\"},\"layers\":[]}'
    curl --silent --fail --output /dev/null --noproxy '*' --aws-sigv4 aws:amz:us-east-1:ecr --user local:local \
        --header 'Content-Type: application/x-amz-json-1.1' \
        --header 'X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.PutImage' \
        --data '{"repositoryName":"'"${name%:*}"'","imageTag":"'$tag'","imageManifest":"'"$manifest"'"}' "$MOTO" ;;
esac"#;
