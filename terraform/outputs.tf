output "model_uuid" {
  description = "The UUID of the model with the demo."
  value       = juju_model.demo.uuid
}

output "offer_url" {
  description = "The offer that an application in another model is integrated with."
  value       = juju_offer.producer.url
}
