variable "charms" {
  description = "The names under which you published the charms on Charmhub, by the names of their folders in charms/."
  type        = map(string)

  validation {
    condition = toset(keys(var.charms)) == toset([
      "metrics-producer-k8s", "metrics-scraper-k8s", "stub-mesh-k8s",
    ])
    error_message = "Give the names of metrics-producer-k8s, metrics-scraper-k8s and stub-mesh-k8s, and of no others."
  }
}

variable "channel" {
  description = "The channel to which you released the charms."
  type        = string
  default     = "latest/edge"
}

variable "model" {
  description = "The name of the model to create."
  type        = string
  default     = "demo"
}
