variable "charms" {
  description = "By the names of the folders in charms/, the names under which you have published them on Charmhub."
  type        = map(string)

  validation {
    condition = toset(keys(var.charms)) == toset([
      "metrics-producer-k8s", "metrics-scraper-k8s", "stub-mesh-k8s",
    ])
    error_message = "Give the names of metrics-producer-k8s, metrics-scraper-k8s and stub-mesh-k8s, and of no others."
  }
}

variable "channel" {
  description = "The channel to which you have released them."
  type        = string
  default     = "latest/edge"
}

variable "model" {
  description = "The name of the model that is made."
  type        = string
  default     = "demo"
}
