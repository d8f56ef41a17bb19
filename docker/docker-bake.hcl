# The images for both architectures, from the checkout:
#
#   docker buildx bake --file docker/docker-bake.hcl              load workspace and jupyter here
#   docker buildx bake --file docker/docker-bake.hcl release --push
#
# `invoke build` does one image, and labels it with the JAX that it finds in its base.

variable "REGISTRY" {
  default = "jaxpad"
}
variable "VERSION" {
  default = "dev"
}
variable "BASE" {
  default = "toolbox"
}
variable "CUDA" {
  default = BASE == "toolbox" ? "13" : "12"
}
variable "SOURCE_DATE_EPOCH" {
  default = null
}

group "default" {
  targets = ["workspace", "jupyter"]
}
group "release" {
  targets = ["workspace-release", "jupyter-release"]
}

target "_image" {
  context    = "."
  dockerfile = "docker/Dockerfile"
  args = {
    BASE              = BASE
    CUDA              = CUDA
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH
  }
  labels = {
    "org.opencontainers.image.version" = VERSION
  }
}

target "workspace" {
  inherits = ["_image"]
  target   = "workspace"
  tags     = ["${REGISTRY}:${VERSION}-${BASE}-cuda${CUDA}"]
}
target "jupyter" {
  inherits = ["_image"]
  target   = "jupyter"
  tags     = ["${REGISTRY}:${VERSION}-${BASE}-cuda${CUDA}-jupyter"]
}

# Attestations add index entries that some mirrors and runtimes trip over: releases only.
target "_release" {
  platforms = ["linux/amd64", "linux/arm64"]
  attest    = ["type=provenance,mode=max", "type=sbom"]
}
target "workspace-release" {
  inherits = ["workspace", "_release"]
}
target "jupyter-release" {
  inherits = ["jupyter", "_release"]
}
