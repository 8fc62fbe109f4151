/** A public key as a JSON Web Key (RFC 7517). */
export interface PublicKey {
  kty: string;
  kid?: string;
  [parameter: string]: unknown;
}

/** What an issuer tells the doors: its public keys, and which sessions it has ended. */
export interface PublishedKeys {
  keys: PublicKey[];
  /** The `sid` of sessions that were ended while access tokens of theirs may still live. */
  revoked?: string[];
  /**
   * Milliseconds since the epoch, where more sessions were ended than `revoked` names: what was issued
   * until then is refused, and whoever still has a session gets a new token.
   */
  revokedBefore?: number;
}

/** How a door asks the issuer of the deployment. */
export interface KeyPublisher {
  published(): Promise<PublishedKeys>;
}
