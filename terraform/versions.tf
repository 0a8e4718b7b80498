terraform {
  required_version = ">= 1.6"
  required_providers {
    juju = {
      source  = "juju/juju"
      version = "~> 2.0" # for Juju 3.6 and 4
    }
  }
}
